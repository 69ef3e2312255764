import swagger from '@fastify/swagger';
import { version } from '../version.ts';
import type { App } from './type-provider.ts';

/**
 * Collects every route registered after it into the OpenAPI document, for `npm run openapi`: what is served is the file that
 * comes of it, which is the same on nodes of every tier.
 */
export async function collectOpenApi(app: App): Promise<void> {
  await app.register(swagger, {
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) => String($id ?? `schema-${index}`),
    },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ticket-broker',
        version,
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
        { name: 'revocation', description: 'Taken back, on all nodes.' },
        { name: 'sessions', description: 'Who is connected where.' },
        { name: 'operations', description: 'For load balancers and operators.' },
      ],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A user token.' },
          serviceKey: { type: 'http', scheme: 'bearer', description: 'A key from SERVICE_KEYS_FILE.' },
          cookie: {
            type: 'apiKey',
            in: 'cookie',
            name: 'AUTH_COOKIE',
            description:
              'A user token, in the cookie that the variable AUTH_COOKIE names. For pages of an allowed origin, and where no `Authorization` is sent.',
          },
        },
      },
    },
  });
}
