import { number, spread } from '../format.ts';
import type { RedisJob } from '../load/jobs.ts';
import { type MeasuredRedis, startMeasuredRedis } from '../process/redis.ts';
import { interleaved } from '../rounds.ts';
import type { Bench, Section, Table } from '../section.ts';
import { ratioOf, spreadOf } from '../statistics.ts';
import { costOf } from './window.ts';

interface CrowdRow {
  /** Of Redis, for a redemption under load. */
  cpuUs: number;
  /** Milliseconds, one redemption after the other. */
  p50: number;
}

const filling = 256;

/** A million tickets: what they weigh, and whether they make Redis slower than a thousand do. */
export async function measureCrowd(bench: Bench): Promise<Pick<Section, 'figures'> & { tables: Table[] }> {
  await using started = new AsyncDisposableStack();
  const { sizes, generator, progress } = bench;
  const begin = async () => {
    const redis = await startMeasuredRedis();
    started.defer(() => redis.stop());
    return redis;
  };
  const crowded = await begin();
  const calm = await begin();
  const run = (redis: MeasuredRedis, job: Partial<RedisJob>) =>
    generator.run('redis', {
      url: redis.url,
      keeper: 'product',
      operation: 'put',
      count: sizes.many,
      concurrency: filling,
      ...job,
    });
  const forget = async (redis: MeasuredRedis, keeper: RedisJob['keeper'] = 'product') => {
    await redis.empty();
    await run(redis, { keeper, operation: 'forget' });
  };

  // Once through it, so that connections and scripts are there and weigh nothing.
  await run(crowded, { count: 10 });
  await run(crowded, { count: 10, operation: 'take' });
  await forget(crowded);
  const empty = await crowded.memory();
  const weighed = async () => ((await crowded.memory()) - empty) / sizes.many;

  progress(`redis: ${number(sizes.many)} bare keys`);
  await run(crowded, { keeper: 'bare' });
  const bare = await weighed();
  await forget(crowded, 'bare');
  progress(`redis: ${number(sizes.many)} tickets with rooms`);
  await run(crowded, { rooms: ['lobby', 'support-4711'] });
  const withRooms = await weighed();
  await forget(crowded);
  progress(`redis: ${number(sizes.many)} tickets`);
  await run(crowded, {});
  const plain = await weighed();

  const share = Math.min(sizes.few, 1000);
  const row = async (redis: MeasuredRedis, before: () => Promise<unknown>): Promise<CrowdRow> => {
    const take = { operation: 'take', count: share } as const;
    await before();
    const { redisUs } = await costOf({ programs: [], redis }, () =>
      run(redis, { ...take, concurrency: sizes.concurrency }),
    );
    await before();
    const { p50 } = await run(redis, { ...take, concurrency: 1 });
    return { cpuUs: redisUs, p50 };
  };
  const entrants = [
    { name: 'many', run: () => row(crowded, async () => {}) },
    {
      name: 'few',
      run: () =>
        row(calm, async () => {
          await forget(calm);
          await run(calm, { count: sizes.few });
        }),
    },
  ];
  const options = { ...sizes, onRound: (text: string) => progress(`redis, outstanding tickets: ${text}`) };
  const rows = await interleaved(entrants, options);

  progress(`redis: ${number(sizes.many)} tombstones`);
  // Those that the rounds have taken are tombstones already.
  const taken = 2 * share * (sizes.rounds + sizes.warmUps);
  await run(crowded, { operation: 'take', count: sizes.many - taken });
  const tombstone = await weighed();

  const column = (name: string, pick: (row: CrowdRow) => number) => (rows.get(name) ?? []).map(pick);
  const beside = (pick: (row: CrowdRow) => number) => ratioOf(column('many', pick), column('few', pick));
  const line = (text: string, name: string) => [
    text,
    spread(spreadOf(column(name, (each) => each.cpuUs))),
    spread(spreadOf(column(name, (each) => each.p50 * 1000))),
  ];
  const cpu = beside((each) => each.cpuUs);
  const p50 = beside((each) => each.p50);
  const weights = { bare, plain, withRooms, tombstone };
  return {
    tables: [
      {
        head: [`each of ${number(sizes.many)}`, 'bytes in Redis'],
        rows: [
          ['bare SET of the same record', number(weights.bare)],
          ['ticket', number(weights.plain)],
          ['ticket with two rooms', number(weights.withRooms)],
          ['tombstone', number(weights.tombstone)],
        ],
      },
      {
        head: ['tickets outstanding', 'Redis, µs of CPU a redemption', 'p50 of one at a time, µs'],
        rows: [
          line(number(sizes.few), 'few'),
          line(number(sizes.many), 'many'),
          ['ratio', spread(cpu), spread(p50)],
        ],
      },
    ],
    figures: {
      bytesPerTicket: spreadOf([withRooms]),
      bytesPerTombstone: spreadOf([tombstone]),
      redeemCpuAtMillion: cpu,
      redeemP50AtMillion: p50,
    },
  };
}
