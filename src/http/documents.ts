import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { SigningKeys } from '../credentials/signing-keys.ts';
import { refusalsOf } from './refusal-schemas.ts';
import { Jwks } from './schemas.ts';
import type { App } from './type-provider.ts';

const contract = fileURLToPath(new URL('../../openapi.yaml', import.meta.url));

/** `/openapi.yaml` and `/docs`, which needs nothing from any other host. */
export async function documentRoutes(app: App): Promise<void> {
  const text = await readFile(contract, 'utf8');
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/yaml').send(text),
  );
  await app.register(swagger, { mode: 'static', specification: { path: contract, baseDir: '/' } });
  await app.register((docs, _options, registered) => {
    // A file would be open, and its beginning in memory, until all that was asked for before it has been read.
    docs.addHook('onRequest', app.unlessOwing);
    void docs.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      // Where there is no TLS, its own files would be asked for over TLS.
      transformStaticCSP: (policy) => policy.replace('upgrade-insecure-requests;', ''),
      theme: { title: 'ticket-broker' },
    });
    registered();
  });
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
