import type { FastifyRequest } from 'fastify';
import type { Caller } from '../credentials/caller.ts';
import type { Credentials } from '../credentials/open.ts';
import { BrokerError } from '../errors.ts';
import type { Feed } from '../revocations/feed.ts';
import type { CookieToken } from './cookie-token.ts';

/**
 * Who makes a request.
 *
 * @throws BrokerError `invalid_token`, `token_revoked`, `idp_unavailable`, whatever `CookieToken` refuses with; `store_unavailable`
 *   while this node cannot know what has been revoked
 */
export type Authenticate = (request: FastifyRequest) => Promise<Caller>;

export function authenticator(
  credentials: Credentials,
  feed: Pick<Feed, 'current' | 'find'>,
  /** Asked where there is no `Authorization`. */
  cookieToken: CookieToken = () => undefined,
): Authenticate {
  return async (request) => {
    const { authorization } = request.headers;
    const token = authorization === undefined ? cookieToken(request) : undefined;
    const caller = await credentials.authenticate(token === undefined ? authorization : `Bearer ${token}`);
    if (caller.kind === 'service' && token !== undefined) {
      throw new BrokerError('invalid_token', { reason: 'key_in_cookie', facts: { key: caller.name } });
    }
    if (caller.kind === 'service') return caller;
    if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
    if (feed.find(caller)) throw new BrokerError('token_revoked', { facts: { sub: caller.sub } });
    return caller;
  };
}
