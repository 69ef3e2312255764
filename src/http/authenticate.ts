import type { FastifyRequest } from 'fastify';
import type { Caller } from '../credentials/caller.ts';
import type { Credentials } from '../credentials/open.ts';
import { BrokerError } from '../errors.ts';
import type { Feed } from '../revocations/feed.ts';

/**
 * Who makes a request.
 *
 * @throws BrokerError `invalid_token`, `token_revoked`, `idp_unavailable`; `store_unavailable` while this node cannot know
 *   what has been revoked
 */
export type Authenticate = (request: FastifyRequest) => Promise<Caller>;

export function authenticator(credentials: Credentials, feed: Pick<Feed, 'current' | 'find'>): Authenticate {
  return async ({ headers }) => {
    const caller = await credentials.authenticate(headers.authorization);
    if (caller.kind === 'service') return caller;
    if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
    if (feed.find(caller)) throw new BrokerError('token_revoked', { facts: { sub: caller.sub } });
    return caller;
  };
}
