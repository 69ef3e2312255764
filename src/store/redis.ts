import type { Claim } from '../tickets/record.ts';
import { isRoom, mostRooms } from '../tickets/room.ts';
import { attemptsInLine } from './attempts-in-line.ts';
import type { RedisConnection } from './connection.ts';
import { refusedBy } from './driver-errors.ts';
import { type Fitness, type FitnessOptions, fitness } from './fitness.ts';
import { gathering } from './gathering.ts';
import { ofPrimary } from './of-primary.ts';
import { claimToArguments, type Judged, recordToText, redemptionFrom } from './record-text.ts';
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

export type RedisStoreOptions = Omit<FitnessOptions, 'store'>;

/** The store that several nodes share: `ticket-scripts.ts` does the work, this gives it keys and reads its answers. */
export type RedisStore = Store & Fitness;

export function redisStore({ connection, prefix, onFault }: RedisStoreOptions): RedisStore {
  /** The primaries' tenures as last seen: in Cluster one for each first character of an id, else one for all. */
  const tenures = new Map<string, string>();
  const shardOf = (id: string) => (connection.sharded ? id.charAt(0) : '');

  // `{h}` is a Cluster hash tag: what belongs to one ticket stays in one slot.
  const ticketKey = (id: string) => `${prefix}t:{${id.charAt(0)}}:${id}`;
  const answerKey = (id: string) => `${prefix}v:{${id.charAt(0)}}:${id}`;
  const counterKey = (key: string) => `${prefix}c:${key}`;
  const roomsKey = (sub: string) => `${prefix}rooms:${sub}`;

  const run = async <Answer = string>(...call: Parameters<RedisConnection['run']>) =>
    ofPrimary<Answer>(connection, await connection.run(...call));

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
      if (known !== undefined) void fit.selfTest();
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

  const inLine = attemptsInLine({
    count: (key, windowMs) => store.count(key, windowMs),
    counted: (key) => store.counted(key),
  });

  const store: Omit<Store, 'check' | 'close'> = {
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
  };
  const fit = fitness({ connection, store, prefix, onFault });
  return { ...store, ...fit, close: () => connection.close() };
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

function countOf([count = 0, resetMs = 0]: readonly number[]): Count {
  return { count, resetMs: Math.max(resetMs, 0) };
}

function revokerArguments(by: Revoker): [whose: string, name: string] {
  if (by === 'holder') return ['holder', ''];
  return 'sub' in by ? ['sub', by.sub] : ['key', by.key];
}
