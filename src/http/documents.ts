import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { SigningKeys } from '../credentials/signing-keys.ts';
import { Jwks, refusalsOf } from './schemas.ts';
import type { App } from './type-provider.ts';

/** Collects every route registered after it into the OpenAPI document. */
export async function registerOpenApi(app: App): Promise<void> {
  await app.register(swagger, {
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) => String($id ?? `schema-${index}`),
    },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ticket-broker',
        version: '0.1.0',
        description:
          'Single-use tickets for WebSockets. Log in, mint a ticket, open the socket with it: once. Every refusal is `{error, error_description}`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      security: [],
      tags: [
        { name: 'tokens', description: 'A credential for a token.' },
        { name: 'tickets', description: 'A token for a ticket.' },
        { name: 'socket', description: 'A ticket for a socket.' },
        { name: 'operations', description: 'For load balancers and operators.' },
      ],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A user token.' },
          serviceKey: { type: 'http', scheme: 'bearer', description: 'A key from SERVICE_KEYS_FILE.' },
        },
      },
    },
  });
}

/** `/openapi.yaml` and `/docs`, which needs nothing from any other host. */
export async function documentRoutes(app: App): Promise<void> {
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/yaml').send(app.swagger({ yaml: true })),
  );
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
}

/** `/.well-known/jwks.json`. */
export function jwksRoute(app: App, jwks: SigningKeys['jwks']): void {
  app.get(
    '/.well-known/jwks.json',
    {
      schema: {
        operationId: 'jwks',
        summary: 'The public keys of our tokens (RFC 7517)',
        description: 'Empty where tokens are signed with a shared secret.',
        tags: ['tokens'],
        response: { 200: Jwks, ...refusalsOf() },
      },
    },
    async (_request, reply) => reply.header('cache-control', 'public, max-age=300').send(jwks),
  );
}
