import formbody from '@fastify/formbody';
import { BrokerError } from '../errors.ts';
import type { PasswordLogin } from './password-login.ts';
import { refusalsOf, TokenAnswer, TokenRequest } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface TokenRouteOptions {
  login: PasswordLogin;
}

/** `POST /token`: OAuth 2.0's password grant. A plugin of its own, since it alone takes forms and takes nothing else. */
export function tokenRoute(app: App, { login }: TokenRouteOptions, done: () => void): void {
  app.removeAllContentTypeParsers();
  void app.register(formbody);
  app.post(
    '/token',
    {
      schema: {
        operationId: 'token',
        summary: 'Log in as OAuth 2.0 does (RFC 6749 4.3)',
        tags: ['tokens'],
        consumes: ['application/x-www-form-urlencoded'],
        body: TokenRequest,
        response: {
          200: TokenAnswer,
          ...refusalsOf(
            'unsupported_grant_type',
            'invalid_grant',
            'payload_too_large',
            'unsupported_media_type',
            'rate_limited',
            'store_unavailable',
            'overloaded',
          ),
        },
      },
    },
    async (request, reply) => {
      const { grant_type = 'password', username, password } = request.body;
      if (grant_type !== 'password') throw new BrokerError('unsupported_grant_type');
      if (username === undefined) throw missing('username');
      if (password === undefined) throw missing('password');
      const { token, expires_in } = await login(request, reply, username, password).catch(asGrant);
      return { access_token: token, token_type: 'bearer' as const, expires_in };
    },
  );
  done();
}

function missing(field: string): BrokerError {
  return new BrokerError('invalid_request', { description: `${field} is required` });
}

/** RFC 6749 5.2 has its own name for a wrong password. */
function asGrant(error: unknown): never {
  const wrong = error instanceof BrokerError && error.code === 'invalid_credentials';
  throw wrong ? new BrokerError('invalid_grant') : error;
}
