import { countedAs } from '../address.ts';
import type { Credentials } from '../credentials/open.ts';
import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Allowance, Store } from '../store/store.ts';
import { allowedRooms, narrowed } from '../tickets/allowed-rooms.ts';
import type { TicketRecord } from '../tickets/record.ts';
import { attemptsUsedUp } from '../tickets/redeem.ts';
import type { Session } from '../tickets/session.ts';
import { newSessionId } from '../tickets/ticket.ts';

export interface TokenSessionsOptions {
  authenticate: Credentials['authenticate'];
  store: Store;
  feed: Pick<Feed, 'current' | 'find'>;
  /** What an address may get wrong; undefined: as much as it likes. */
  attempts: Omit<Allowance, 'counter'> | undefined;
  /** Seconds. */
  sessionTtl: number;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomBytes: RandomBytes;
}

/**
 * Opens a session for a token that was shown in the handshake itself, as clients do that need no ticket.
 *
 * @throws BrokerError `invalid_token`, `token_revoked`, `room_forbidden`, `rate_limited`, `idp_unavailable`, `store_unavailable`
 */
export type TokenSession = (
  token: string,
  from: { address: string; room: string | undefined },
) => Promise<Session>;

export function tokenSessions(options: TokenSessionsOptions): TokenSession {
  const { authenticate, store, feed, attempts, sessionTtl, now, randomBytes } = options;

  /** Counted one after the other, unlike tickets: a token cannot be guessed, whoever tries many at once. */
  const counting = async <T>(address: string, attempt: () => Promise<T>): Promise<T> => {
    if (!attempts) return attempt();
    const { limit, windowMs, counting: which } = attempts;
    const counter = `attempts:${countedAs(address)}`;
    const { count, resetMs } = await store.counted(counter);
    if (count >= limit) throw attemptsUsedUp(resetMs);
    if (which === 'all') await store.count(counter, windowMs);
    return attempt().catch(async (error: unknown) => {
      if (which === 'failed' && error instanceof BrokerError && error.status < 500) {
        await store.count(counter, windowMs);
      }
      throw error;
    });
  };

  return (token, { address, room }) =>
    counting(address, async () => {
      const user = await authenticate(`Bearer ${token}`);
      if (user.kind === 'service') throw new BrokerError('invalid_token', { reason: 'service_key' });
      const { sub, username, auth_time, exp } = user;
      if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
      if (feed.find(user)) throw new BrokerError('token_revoked', { facts: { sub } });

      const session_ttl = Math.min(sessionTtl, exp - now() / 1000);
      const asked = room === undefined ? undefined : [room];
      const named: TicketRecord = { sub, username, auth_time, session_ttl, ...(asked && { rooms: asked }) };
      const all = await allowedRooms(store, user, undefined);
      // As with a ticket, one room is asked for among all; only more of them than a ticket takes are not carried along.
      const allowed = all === 'too_many' && asked ? await allowedRooms(store, user, asked) : all;
      const { rooms: _checked, ...record } = narrowed(named, allowed);
      const deadline = now() + session_ttl * 1000;
      return {
        session_id: newSessionId(randomBytes),
        record: typeof allowed === 'string' ? record : { ...record, rooms: allowed },
        deadline,
        exp: Math.floor(deadline / 1000),
      };
    });
}
