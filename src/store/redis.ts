import { BrokerError } from '../errors.ts';
import type { RedisConnection } from './connection.ts';
import { claimToArguments, recordFromText, recordToText } from './record-text.ts';
import {
  type Redemption,
  type Revoker,
  type Store,
  type TicketRevocation,
  tombstoneMarginMs,
} from './store.ts';

export interface RedisStoreOptions {
  connection: RedisConnection;
  /** Begins every key. */
  prefix: string;
}

/** The store that several nodes share: `scripts.ts` does the work, this gives it keys and reads its answers. */
export function redisStore({ connection, prefix }: RedisStoreOptions): Store {
  /** The primary's tenure as last seen; a mint that names another one is refused and tells us. */
  let tenure = 'unseen';

  // `{h}` is a Cluster hash tag: what belongs to one ticket stays in one slot.
  const ticketKey = (id: string) => `${prefix}t:{${id.charAt(0)}}:${id}`;
  const counterKey = (key: string) => `${prefix}c:${key}`;

  return {
    async put(id, record, ttlMs) {
      const answer = await connection.run('mint', ticketKey(id), tenure, ttlMs, recordToText(record));
      const [outcome, current] = known(answer);
      if (current) tenure = current;
      return outcome === 'stored' ? 'stored' : 'retry';
    },

    async redeem(id, claim) {
      const args = [claim.sessionId, tombstoneMarginMs, ...claimToArguments(claim)];
      const answer = await connection.run('redeem', ticketKey(id), ...args);
      const [outcome, detail = '', age] = known(answer);
      if (outcome === 'redeemed') return { outcome, record: recordFromText(detail), ageMs: Number(age) };
      if (outcome === 'used') return { outcome, sessionId: detail };
      return (outcome === 'misfit' ? { outcome, misfit: detail } : { outcome }) as Redemption;
    },

    async revoke(id, by) {
      const answer = await connection.run(
        'revoke',
        ticketKey(id),
        tombstoneMarginMs,
        ...revokerArguments(by),
      );
      const [outcome, detail = ''] = known(answer);
      return (outcome === 'used' ? { outcome, sessionId: detail } : { outcome }) as TicketRevocation;
    },

    async count(key, windowMs) {
      return countOf(await connection.run('count', counterKey(key), windowMs));
    },

    async counted(key) {
      return countOf(await connection.run('counted', counterKey(key)));
    },

    async check() {
      // A read that answers as a redemption of nothing would: the primary is there, and runs scripts.
      known(await connection.run('redeem', ticketKey('-'), '', 0, '', '', '', ''));
    },

    async close() {
      await connection.close();
    },
  };
}

/** A script's answer is text; a replica's means that we talk to the wrong node. */
function known(answer: unknown[]): string[] {
  if (answer[0] === 'replica') throw new BrokerError('store_unavailable', { reason: 'store: not a primary' });
  return answer as string[];
}

function countOf([count, resetMs]: unknown[]) {
  return { count: Number(count), resetMs: Math.max(Number(resetMs), 0) };
}

function revokerArguments(by: Revoker): [whose: string, name: string] {
  if (by === 'holder') return ['holder', ''];
  return 'sub' in by ? ['sub', by.sub] : ['key', by.key];
}
