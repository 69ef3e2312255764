import formbody from '@fastify/formbody';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { IssuedToken } from '../credentials/open.ts';
import { BrokerError } from '../errors.ts';
import type { PasswordLogin } from './password-login.ts';
import type { Refreshing } from './refresh.ts';
import { limitedRefusalsOf } from './refusal-schemas.ts';
import { TokenAnswer, TokenRequest } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface TokenRouteOptions {
  login: PasswordLogin;
  refresh: Refreshing;
}

/** `POST /token`: OAuth 2.0's password and refresh grants. A plugin of its own, since it alone takes forms and takes nothing else. */
export function tokenRoute(app: App, { login, refresh }: TokenRouteOptions, done: () => void): void {
  app.removeAllContentTypeParsers();
  void app.register(formbody);
  app.post(
    '/token',
    {
      schema: {
        operationId: 'token',
        summary: 'Log in, or stay logged in, as OAuth 2.0 does (RFC 6749 4.3 and 6)',
        tags: ['tokens'],
        consumes: ['application/x-www-form-urlencoded'],
        body: TokenRequest,
        response: {
          200: TokenAnswer,
          ...limitedRefusalsOf(
            'unsupported_grant_type',
            'invalid_grant',
            'token_revoked',
            'payload_too_large',
            'unsupported_media_type',
            'store_unavailable',
            'overloaded',
          ),
        },
      },
      // RFC 6749 3.2: a parameter without a value is as good as none.
      preValidation: async (request) => {
        const given = Object.entries(request.body ?? {}).filter(([, value]) => value !== '');
        request.body = Object.fromEntries(given);
      },
    },
    async (request, reply) => {
      // RFC 6749 5.1 wants both this and `Cache-Control: no-store`.
      reply.header('pragma', 'no-cache');
      const { token, expires_in, refresh_token } = await granted(request, reply);
      return { access_token: token, token_type: 'bearer' as const, expires_in, refresh_token };
    },
  );
  done();

  async function granted(
    request: FastifyRequest<{ Body: Static<typeof TokenRequest> }>,
    reply: FastifyReply,
  ): Promise<IssuedToken> {
    const { grant_type = 'password', username, password, refresh_token } = request.body;
    switch (grant_type) {
      case 'password':
        if (username === undefined) throw missing('username');
        if (password === undefined) throw missing('password');
        return login(request, reply, username, password).catch(asGrant);
      case 'refresh_token':
        if (refresh_token === undefined) throw missing('refresh_token');
        return refresh(request, reply, refresh_token);
      default:
        throw new BrokerError('unsupported_grant_type');
    }
  }
}

function missing(field: string): BrokerError {
  return new BrokerError('invalid_request', { description: `${field} is required` });
}

/** RFC 6749 5.2 has its own name for a wrong password. */
function asGrant(error: unknown): never {
  const wrong = error instanceof BrokerError && error.code === 'invalid_credentials';
  throw wrong ? new BrokerError('invalid_grant') : error;
}
