import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import Provider from 'oidc-provider';
import { freePort } from './redis-server.ts';

/** Who logs in there; a client of its own, so that no browser is needed. */
export const subject = 'carol';
const secret = randomBytes(32).toString('base64url');

export interface IdentityProvider {
  issuer: string;
  jwksUrl: string;
  /** An access token (RFC 9068) for a resource server, fetched over HTTP as any client does. */
  token(audience: string): Promise<string>;
  /** Ends it and starts it again at the same address with these keys. */
  restart(keys: readonly JWK[]): Promise<void>;
  stop(): Promise<void>;
}

/** A private key for signing, with a name of its own. */
export async function signingKey(alg: 'RS256' | 'ES256'): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: randomBytes(8).toString('hex') };
}

/** A certified OpenID Connect server on a loopback port; the first key signs. */
export async function startIdentityProvider(keys: readonly JWK[]): Promise<IdentityProvider> {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  let server = await serve(issuer, port, keys);

  const stop = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };

  return {
    issuer,
    jwksUrl: `${issuer}/jwks`,
    async token(audience) {
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${subject}:${secret}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience }),
      });
      const answer = (await response.json()) as { access_token?: string };
      if (!answer.access_token) throw new Error(`the identity provider answered ${JSON.stringify(answer)}`);
      return answer.access_token;
    },
    async restart(next) {
      await stop();
      server = await serve(issuer, port, next);
    },
    stop,
  };
}

/** Its tokens are JWTs, so that it has nothing to remember. */
class NothingKept {
  async find() {}
  async upsert() {}
  async destroy() {}
}

async function serve(issuer: string, port: number, keys: readonly JWK[]): Promise<Server> {
  const alg = keys[0]?.alg;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: subject,
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: alg,
      },
    ],
    jwks: { keys },
    adapter: NothingKept,
    cookies: { keys: [secret] },
    ttl: { ClientCredentials: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          audience: resource,
          scope: '',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg } },
        }),
      },
    },
  });
  const answer = provider.callback();
  const server = createServer((request, response) => {
    // Nobody keeps a connection to a server that may be gone a moment later.
    response.setHeader('connection', 'close');
    answer(request, response);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
