import { BrokerError } from '../errors.ts';
import type { TicketRecord } from '../tickets/record.ts';
import { isRoom, mostRooms } from '../tickets/room.ts';
import type { RedisConnection } from './connection.ts';
import { replyIn } from './driver-errors.ts';
import { claimToArguments, recordFromText, recordToText } from './record-text.ts';
import { faultOfRedis } from './self-test.ts';
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
  /** Told what a self-test found missing, and `undefined` when nothing is any more. */
  onFault: (fault: string | undefined) => void;
}

/** The store that several nodes share: `scripts.ts` does the work, this gives it keys and reads its answers. */
export interface RedisStore extends Store {
  /** Looks whether this Redis is what we need. For each new connection; a new tenure asks for it by itself. */
  selfTest(): Promise<void>;
}

export function redisStore({ connection, prefix, onFault }: RedisStoreOptions): RedisStore {
  /** The primaries' tenures as last seen: in Cluster one for each first character of an id, else one for all. */
  const tenures = new Map<string, string>();
  const shardOf = (id: string) => (connection.sharded ? id.charAt(0) : '');
  let fault: string | undefined;
  let tested = false;
  let testing: Promise<void> | undefined;

  // `{h}` is a Cluster hash tag: what belongs to one ticket stays in one slot.
  const ticketKey = (id: string) => `${prefix}t:{${id.charAt(0)}}:${id}`;
  const counterKey = (key: string) => `${prefix}c:${key}`;
  const roomsKey = (sub: string) => `${prefix}rooms:${sub}`;

  /** A script's answer is text; a replica's means that the primary is somewhere else now. */
  const run = async (...call: Parameters<RedisConnection['run']>): Promise<string[]> => {
    const answer = await connection.run(...call);
    if (answer[0] !== 'replica') return answer as string[];
    connection.relocate();
    throw new BrokerError('store_unavailable', { reason: 'store: not a primary' });
  };

  const put = async (id: string, record: TicketRecord, ttlMs: number) => {
    const shard = shardOf(id);
    const known = tenures.get(shard);
    const args = [known ?? 'unseen', ttlMs, recordToText(record)];
    const [outcome, current] = await run('mint', ticketKey(id), ...args);
    if (current !== undefined && current !== known) {
      tenures.set(shard, current);
      if (known !== undefined) void store.selfTest();
    }
    return outcome === 'stored' ? ('stored' as const) : ('retry' as const);
  };

  const test = async () => {
    try {
      const found = await faultOfRedis(connection, store, prefix);
      if (found !== fault) onFault(found);
      fault = found;
      tested = true;
    } catch (error) {
      // Whether it can be reached is for the calls to find out; `check` asks for another test.
      if (!(error instanceof BrokerError)) throw error;
    }
  };

  const store: RedisStore = {
    put,

    async redeem(id, claim) {
      const args = [claim.sessionId, tombstoneMarginMs, ...claimToArguments(claim)];
      const [outcome, detail = '', age] = await run('redeem', ticketKey(id), ...args);
      if (outcome === 'redeemed') return { outcome, record: recordFromText(detail), ageMs: Number(age) };
      if (outcome === 'used') return { outcome, sessionId: detail };
      return (outcome === 'misfit' ? { outcome, misfit: detail } : { outcome }) as Redemption;
    },

    async revoke(id, by) {
      const [outcome, detail = ''] = await run(
        'revoke',
        ticketKey(id),
        tombstoneMarginMs,
        ...revokerArguments(by),
      );
      return (outcome === 'used' ? { outcome, sessionId: detail } : { outcome }) as TicketRevocation;
    },

    async count(key, windowMs) {
      return countOf(await run('count', counterKey(key), windowMs));
    },

    async counted(key) {
      return countOf(await run('counted', counterKey(key)));
    },

    async roomsOf(sub, asked = []) {
      const [outcome, ...members] = await run('rooms', roomsKey(sub), mostRooms, ...asked);
      // Whatever else is in the set was never the name of a room, and a tab in it would forge one in the ticket.
      return outcome === 'rooms' ? members.filter(isRoom) : (outcome as 'any' | 'too_many');
    },

    async check() {
      if (!tested || fault !== undefined) await store.selfTest();
      if (fault !== undefined) throw new BrokerError('store_unavailable', { description: fault });
      // A write: a primary that is full, or has too few replicas, still answers reads.
      try {
        await store.count('readyz', 1000);
      } catch (error) {
        if (replyIn(error) !== undefined) await store.selfTest();
        throw fault === undefined ? error : new BrokerError('store_unavailable', { description: fault });
      }
    },

    selfTest() {
      testing ??= test().finally(() => {
        testing = undefined;
      });
      return testing;
    },

    async close() {
      await connection.close();
    },
  };
  return store;
}

function countOf([count, resetMs]: string[]) {
  return { count: Number(count), resetMs: Math.max(Number(resetMs), 0) };
}

function revokerArguments(by: Revoker): [whose: string, name: string] {
  if (by === 'holder') return ['holder', ''];
  return 'sub' in by ? ['sub', by.sub] : ['key', by.key];
}
