import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Decide, Facts } from '../decisions.ts';
import { about } from '../errors.ts';
import type { ListedSession, Registry } from '../sessions/registry.ts';
import { unrevoked } from '../sessions/unrevoked.ts';
import type { Store } from '../store/store.ts';
import type { Feed } from './feed.ts';
import type { RevocationTarget } from './revocation.ts';

/** Milliseconds that a revocation waits until it is known whom it reaches. */
const countWithinMs = 100;

export interface RevokeDeps {
  store: Store;
  feed: Feed;
  registry: Registry;
  /** Milliseconds since the epoch. */
  now: () => number;
}

interface Published {
  /** The revocation's place in the feed. */
  id: string;
  rid: string;
}

export interface Revoked extends Published {
  /** What the feed says: of a spent ticket, the session that it opened. */
  target: RevocationTarget;
  /** Live sessions that it reaches, as far as they could be counted. */
  sessions: number;
}

/**
 * Revokes, for all nodes. Resolves once it cannot be forgotten; doing it again is harmless.
 *
 * @throws BrokerError `store_unavailable`: the revocation may stand, but is not safe yet
 */
export type Revoke = (target: RevocationTarget, reason: string | undefined) => Promise<Revoked>;

export function revoker({ store, feed, registry, now }: RevokeDeps): Revoke {
  const standing = unrevoked(registry, feed);
  const reached = async (target: RevocationTarget): Promise<ListedSession[]> => {
    if ('sub' in target) {
      const sessions = await standing.ofSubject(target.sub);
      return sessions.filter(({ auth_time }) => auth_time <= target.issued_before);
    }
    if (!('session_id' in target)) return [];
    const session = await standing.find(target.session_id);
    return session ? [session] : [];
  };

  const publish = async (target: RevocationTarget, reason: string | undefined): Promise<Published> => {
    const rid = randomUUID();
    const revocation = { ...target, rid, at: now() / 1000, ...(reason && { reason }) };
    const id = await feed.publish(revocation).catch((error: unknown) => {
      throw about(error, { rid });
    });
    return { id, rid };
  };
  // Whoever may end their own session may ask for it without end: what cannot be forgotten, or is being said, is not said again.
  const said = new LRUCache<string, Promise<Published>>({ max: 10_000 });
  const publishOnce = (target: RevocationTarget, reason: string | undefined): Promise<Published> => {
    const name = JSON.stringify(target);
    const before = said.get(name);
    if (before) return before;
    const published = publish(target, reason);
    said.set(name, published);
    published.catch(() => said.delete(name));
    return published;
  };

  return async (asked, reason) => {
    const target = 'ticket_id' in asked ? await opened(store, asked) : asked;
    // Before: whom it reaches is gone at once. Only told: what cannot be counted soon is revoked all the same.
    const sessions = await Promise.race([
      reached(target).then(
        ({ length }) => length,
        () => 0,
      ),
      sleep(countWithinMs, 0, { ref: false }),
    ]);
    // Of a subject, each reaches further than the one before.
    const published = 'sub' in target ? publish(target, reason) : publishOnce(target, reason);
    return { ...(await published), target, sessions };
  };
}

/** A ticket that is spent already stands for the session that it opened. */
async function opened(store: Store, target: { ticket_id: string }): Promise<RevocationTarget> {
  const answer = await store.revoke(target.ticket_id, 'holder');
  return answer.outcome === 'used' ? { session_id: answer.sessionId } : target;
}

/** Revokes as part of a decision, and adds to its facts what is revoked and what comes of it. */
export async function revokeAndTell(
  facts: Facts,
  revoke: Revoke,
  asked: RevocationTarget,
  because: string | undefined,
): Promise<Revoked> {
  Object.assign(facts, { ...asked, target: nameOf(asked) }, because !== undefined && { because });
  const revoked = await revoke(asked, because);
  Object.assign(facts, { ...revoked.target, rid: revoked.rid, sessions: revoked.sessions });
  return revoked;
}

/** For what the broker revokes without being asked: recorded like what it is asked to. */
export function unasked(revoke: Revoke, decide: Decide, log: Pick<Logger, 'info'>): Revoke {
  return (target, reason) =>
    decide(log, { decision: 'revoke', by: 'broker' }, (facts) =>
      revokeAndTell(facts, revoke, target, reason),
    );
}

/** What becomes of the session that a used ticket had opened, when the ticket comes back: it is ended, or only logged. */
export function replayed(
  what: 'log' | 'close',
  revoke: Revoke,
  log: Pick<Logger, 'error'>,
): (sessionId: string) => Promise<void> {
  return async (session_id) => {
    if (what === 'log') return;
    await revoke({ session_id }, 'ticket replayed').catch((err) =>
      log.error({ err }, 'a replay could not close'),
    );
  };
}

function nameOf(target: RevocationTarget): 'sub' | 'session_id' | 'ticket_id' {
  if ('sub' in target) return 'sub';
  return 'session_id' in target ? 'session_id' : 'ticket_id';
}
