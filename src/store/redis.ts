import { BrokerError } from '../errors.ts';
import type { Claim, Misfit } from '../tickets/record.ts';
import { isRoom, mostRooms } from '../tickets/room.ts';
import { attemptsInLine } from './attempts-in-line.ts';
import type { RedisConnection } from './connection.ts';
import { refusedBy, replyIn } from './driver-errors.ts';
import { gathering } from './gathering.ts';
import { claimToArguments, recordFromText, recordToText } from './record-text.ts';
import { faultOfRedis } from './self-test.ts';
import {
  type Allowance,
  type Count,
  type PutResult,
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
  const answerKey = (id: string) => `${prefix}v:{${id.charAt(0)}}:${id}`;
  const counterKey = (key: string) => `${prefix}c:${key}`;
  const roomsKey = (sub: string) => `${prefix}rooms:${sub}`;

  /** A script's answer is text; a replica's means that the primary is somewhere else now. */
  const run = async <Answer = string>(...call: Parameters<RedisConnection['run']>): Promise<Answer[]> => {
    const answer = await connection.run(...call);
    if (answer[0] !== 'replica') return answer as Answer[];
    connection.relocate();
    throw new BrokerError('store_unavailable', { reason: 'store: not a primary' });
  };

  const put = gathering<Mint, PutResult>(async (shard, mints) => {
    const known = tenures.get(shard);
    const args = mints.flatMap(({ text, ttlMs }) => [ttlMs, text]);
    const [current, ...outcomes] = await run(
      'mint',
      mints.map(({ id }) => ticketKey(id)),
      known ?? 'unseen',
      ...args,
    );
    if (current !== undefined && current !== known) {
      tenures.set(shard, current);
      if (known !== undefined) void store.selfTest();
    }
    return outcomes.map((outcome) => (outcome === 'stored' ? 'stored' : 'retry'));
  });

  const redeem = gathering<Presented, Redemption>(async (_group, presented) => {
    const { limit = 0, windowMs = 0, counting = '' } = presented[0]?.allowance ?? {};
    const keys = presented.flatMap(({ id, allowance }) => [
      ticketKey(id),
      answerKey(id),
      ...(allowance ? [counterKey(allowance.counter)] : []),
    ]);
    const args = presented.flatMap(({ claim }) => claimToArguments(claim));
    const answers = await run<Judged>('redeem', keys, tombstoneMarginMs, limit, windowMs, counting, ...args);
    return answers.map((answer, index) => redemptionFrom(answer, presented[index]?.claim.sessionId ?? ''));
  });

  const count = gathering<Counted, Count>(async (_group, counted) => {
    const keys = counted.map(({ key }) => counterKey(key));
    const windows = counted.map(({ windowMs }) => windowMs);
    return (await run<[number, number]>('count', keys, ...windows)).map(countOf);
  });

  const rooms = gathering<Entered, string[]>((_group, entered) => {
    const keys = entered.map(({ sub }) => roomsKey(sub));
    const args = entered.flatMap(({ asked }) => [asked.length, ...asked]);
    return run<string[]>('rooms', keys, mostRooms, ...args);
  });

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

  const inLine = attemptsInLine({
    count: (key, windowMs) => store.count(key, windowMs),
    counted: (key) => store.counted(key),
  });

  const store: RedisStore = {
    async put(id, record, ttlMs) {
      return put(shardOf(id), { id, text: recordToText(record), ttlMs });
    },

    async redeem(id, claim, allowance) {
      if (!allowance) return redeem(shardOf(id), { id, claim });
      // In Cluster, a ticket and a counter are in different slots, and no script can have both.
      if (connection.sharded) return inLine(allowance, () => redeem(shardOf(id), { id, claim }));
      const { limit, windowMs, counting } = allowance;
      return redeem(`${limit} ${windowMs} ${counting}`, { id, claim, allowance });
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

    async fateOf(id) {
      const value = (await connection.command('GET', ticketKey(id))) as string | null;
      if (value === null) return { outcome: 'unknown' };
      if (value.startsWith('U')) return { outcome: 'used', sessionId: value.slice(1) };
      return { outcome: value === 'R' ? 'revoked' : 'unused' };
    },

    async count(key, windowMs) {
      return count(connection.sharded ? key : '', { key, windowMs });
    },

    async counted(key) {
      return countOf(await run<number>('counted', counterKey(key)));
    },

    async roomsOf(sub, asked = []) {
      const [outcome, ...members] = await rooms(connection.sharded ? sub : '', { sub, asked });
      if (outcome === 'refused') throw refusedBy(members[0] ?? '');
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
        const { refusal } = connection;
        const known = fault ?? (refusal && `Redis refuses our connection (${refusal}).`);
        throw known ? new BrokerError('store_unavailable', { description: known }) : error;
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

interface Mint {
  id: string;
  text: string;
  ttlMs: number;
}

interface Counted {
  key: string;
  windowMs: number;
}

interface Entered {
  sub: string;
  asked: readonly string[];
}

interface Presented {
  id: string;
  claim: Claim;
  allowance?: Allowance;
}

/** What the redeem script says of one ticket. */
type Judged =
  | [outcome: 'redeemed', value: string, ageMs: number, at: number]
  | [outcome: 'repeated', value: string, ageMs: number, at: number, sessionId: string]
  | [outcome: 'used', sessionId: string]
  | [outcome: 'misfit', misfit: Misfit]
  | [outcome: 'limited', resetMs: number]
  | [outcome: 'unknown' | 'expired' | 'fenced' | 'revoked'];

function redemptionFrom(answer: Judged, sessionId: string): Redemption {
  switch (answer[0]) {
    case 'redeemed':
    case 'repeated': {
      const [, value, ageMs, at, given = sessionId] = answer;
      return { outcome: 'redeemed', record: recordFromText(value), sessionId: given, ageMs, at };
    }
    case 'used':
      return { outcome: 'used', sessionId: answer[1] };
    case 'misfit':
      return { outcome: 'misfit', misfit: answer[1] };
    case 'limited':
      return { outcome: 'limited', resetMs: Math.max(answer[1], 0) };
    default:
      return { outcome: answer[0] };
  }
}

function countOf([count = 0, resetMs = 0]: readonly number[]): Count {
  return { count, resetMs: Math.max(resetMs, 0) };
}

function revokerArguments(by: Revoker): [whose: string, name: string] {
  if (by === 'holder') return ['holder', ''];
  return 'sub' in by ? ['sub', by.sub] : ['key', by.key];
}
