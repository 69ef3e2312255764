import { randomUUID } from 'node:crypto';
import type { ListedSession, Registry } from '../sessions/registry.ts';
import type { Store } from '../store/store.ts';
import type { Feed } from './feed.ts';
import type { RevocationTarget } from './revocation.ts';

export interface RevokeDeps {
  store: Store;
  feed: Feed;
  registry: Registry;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export interface Revoked {
  /** The revocation's place in the feed. */
  id: string;
  /** Live sessions that it reaches. */
  sessions: number;
}

/**
 * Revokes, for all nodes. Resolves once it cannot be forgotten; doing it again is harmless.
 *
 * @throws BrokerError `store_unavailable`: the revocation may stand, but is not safe yet
 */
export type Revoke = (target: RevocationTarget, reason: string | undefined) => Promise<Revoked>;

export function revoker({ store, feed, registry, now }: RevokeDeps): Revoke {
  const reached = async (target: RevocationTarget): Promise<ListedSession[]> => {
    if ('sub' in target) {
      const sessions = await registry.ofSubject(target.sub);
      return sessions.filter(({ auth_time }) => auth_time <= target.issued_before);
    }
    if (!('session_id' in target)) return [];
    const session = await registry.find(target.session_id);
    return session ? [session] : [];
  };

  return async (asked, reason) => {
    const target = 'ticket_id' in asked ? await opened(store, asked) : asked;
    const sessions = await reached(target);
    const revocation = { ...target, rid: randomUUID(), at: now() / 1000, ...(reason && { reason }) };
    return { id: await feed.publish(revocation), sessions: sessions.length };
  };
}

/** A ticket that is spent already stands for the session that it opened. */
async function opened(store: Store, target: { ticket_id: string }): Promise<RevocationTarget> {
  const answer = await store.revoke(target.ticket_id, 'holder');
  return answer.outcome === 'used' ? { session_id: answer.sessionId } : target;
}
