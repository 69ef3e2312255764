import { LRUCache } from 'lru-cache';
import { BrokerError } from '../errors.ts';
import { type Claim, misfit, type TicketRecord } from '../tickets/record.ts';
import { isRoom, mostRooms } from '../tickets/room.ts';
import {
  type Count,
  isFailedAttempt,
  mayRevoke,
  type Redemption,
  type Spent,
  type Store,
  tombstoneMarginMs,
} from './store.ts';

interface Unspent {
  record: TicketRecord;
  mintedAt: number;
  until: number;
}

/** What stays where a ticket was, with the answer that the next one to present it gets. */
interface Tombstone {
  answer: Spent;
  until: number;
  /** What one asker may hear again for a while. */
  repeat?: { asker: string; answer: Redemption; until: number };
}

export interface MemoryStoreOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Tickets and tombstones held at most; a mint beyond them is refused, never an old one dropped. */
  maxTickets?: number;
  /** The rooms of those subjects who may not enter every room, as Redis keeps them in a set for each. Where nobody can keep any: absent. */
  rooms?: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The embedded store: one process, nothing survives it. The event loop makes every operation atomic. */
export function memoryStore({ now, maxTickets = 200_000, rooms }: MemoryStoreOptions): Store {
  const entries = new Map<string, Unspent | Tombstone>();
  const counters = new LRUCache<string, { count: number; until: number }>({ max: 100_000 });

  const sweep = () => {
    const at = now();
    for (const [id, { until }] of entries) if (until <= at) entries.delete(id);
  };
  const sweeper = setInterval(sweep, 10_000).unref();

  const find = (id: string): Unspent | Tombstone | undefined => {
    const entry = entries.get(id);
    return entry && entry.until > now() ? entry : undefined;
  };
  const bury = <Answer extends Spent>(
    id: string,
    { until }: Unspent,
    answer: Answer,
    repeat?: Tombstone['repeat'],
  ): Answer => {
    entries.set(id, { answer, until: until + tombstoneMarginMs, ...(repeat && { repeat }) });
    return answer;
  };
  const read = (key: string): Count => {
    const counter = counters.get(key);
    const resetMs = (counter?.until ?? 0) - now();
    return counter && resetMs > 0 ? { count: counter.count, resetMs } : { count: 0, resetMs: 0 };
  };

  const count = (key: string, windowMs: number): Count => {
    const { count, resetMs } = read(key);
    const next = { count: count + 1, resetMs: count === 0 ? windowMs : resetMs };
    counters.set(key, { count: next.count, until: now() + next.resetMs });
    return next;
  };

  const redeem = (id: string, claim: Claim): Redemption => {
    const entry = find(id);
    if (!entry) return { outcome: 'unknown' };
    if ('answer' in entry) {
      const { answer, repeat } = entry;
      const again = repeat && repeat.asker === claim.repeat?.asker && repeat.until > now();
      return again ? repeat.answer : answer;
    }
    const { record, mintedAt } = entry;
    const wrong = misfit(record, claim);
    if (wrong) return { outcome: 'misfit', misfit: wrong };
    const { sessionId, repeat } = claim;
    const ageMs = now() - mintedAt;
    const answer: Redemption = { outcome: 'redeemed', record, sessionId, ageMs, at: now() };
    const kept = repeat && { asker: repeat.asker, answer, until: now() + repeat.withinMs };
    bury(id, entry, { outcome: 'used', sessionId }, kept);
    return answer;
  };

  return {
    async put(id, record, ttlMs) {
      if (entries.size >= maxTickets) sweep();
      if (entries.size >= maxTickets) throw new BrokerError('store_unavailable', { reason: 'store_full' });
      if (find(id)) return 'retry';
      entries.set(id, { record, mintedAt: now(), until: now() + ttlMs });
      return 'stored';
    },

    async redeem(id, claim, allowance) {
      if (!allowance) return redeem(id, claim);
      const { counter, limit, windowMs, counting } = allowance;
      const counted = counting === 'all' ? count(counter, windowMs).count - 1 : read(counter).count;
      if (counted >= limit) return { outcome: 'limited', resetMs: read(counter).resetMs };
      const redemption = redeem(id, claim);
      if (counting === 'failed' && isFailedAttempt(redemption)) count(counter, windowMs);
      return redemption;
    },

    async revoke(id, by) {
      const entry = find(id);
      if (!entry) return { outcome: 'unknown' };
      if ('answer' in entry) return entry.answer;
      if (!mayRevoke(entry.record, by)) return { outcome: 'forbidden' };
      return bury(id, entry, { outcome: 'revoked' });
    },

    async fateOf(id) {
      const entry = find(id);
      if (!entry) return { outcome: 'unknown' };
      return 'answer' in entry ? entry.answer : { outcome: 'unused' };
    },

    async count(key, windowMs) {
      return count(key, windowMs);
    },

    async counted(key) {
      return read(key);
    },

    async roomsOf(sub, asked) {
      const kept = rooms?.get(sub);
      if (!kept) return 'any';
      if (asked) return asked.filter((room) => kept.has(room));
      return kept.size > mostRooms ? 'too_many' : [...kept].filter(isRoom);
    },

    async check() {},

    async close() {
      clearInterval(sweeper);
    },
  };
}
