import { number, spread } from '../format.ts';
import type { RedisJob } from '../load/jobs.ts';
import { type MeasuredRedis, startMeasuredRedis } from '../process/redis.ts';
import { type Entrant, interleaved } from '../rounds.ts';
import type { Bench, Section, Table } from '../section.ts';
import { ratioOf, type Spread, spreadOf } from '../statistics.ts';
import { costOf } from './window.ts';

type Keeper = RedisJob['keeper'];

interface CrowdRow {
  /** Of Redis, for each that is taken under load. */
  cpuUs: number;
  /** Milliseconds, one after the other. */
  p50: number;
}

/** What is taken out of Redis, by whom it is kept. */
const taken = { product: 'redemption', bare: 'bare GETDEL' } as const;
const filling = 256;

/** A million tickets: what they weigh, and whether they make Redis slower than a thousand do, beside what bare keys do. */
export async function measureCrowd(bench: Bench): Promise<Pick<Section, 'figures'> & { tables: Table[] }> {
  await using started = new AsyncDisposableStack();
  const { sizes, progress } = bench;
  const begin = async (keeper: Keeper) => {
    const redis = await startMeasuredRedis();
    started.defer(() => redis.stop());
    return heldBy(bench, redis, keeper);
  };
  const [tickets, fewTickets] = [await begin('product'), await begin('product')];
  const [bareKeys, fewBareKeys] = [await begin('bare'), await begin('bare')];

  progress(`redis: ${number(sizes.many)} bare keys`);
  await bareKeys.put(sizes.many);
  const bare = await bareKeys.bytesEach();
  progress(`redis: ${number(sizes.many)} tickets with rooms`);
  const roomy = await begin('product');
  await roomy.put(sizes.many, ['lobby', 'support-4711']);
  const withRooms = await roomy.bytesEach();
  await roomy.forget();
  progress(`redis: ${number(sizes.many)} tickets`);
  await tickets.put(sizes.many);
  const plain = await tickets.bytesEach();

  const compared = [
    ...manyAndFew(taken.product, tickets, fewTickets),
    ...manyAndFew(taken.bare, bareKeys, fewBareKeys),
  ];
  const options = { ...sizes, onRound: (text: string) => progress(`redis, outstanding: ${text}`) };
  const rows = await interleaved(compared, options);

  progress(`redis: ${number(sizes.many)} tombstones`);
  await tickets.takeTheRest();
  const tombstone = await tickets.bytesEach();

  const { table, ratios } = comparison(rows, sizes);
  return {
    tables: [
      {
        head: [`each of ${number(sizes.many)}`, 'bytes in Redis'],
        rows: [
          ['bare SET of the same record', number(bare)],
          ['ticket', number(plain)],
          ['ticket with two rooms', number(withRooms)],
          ['tombstone', number(tombstone)],
        ],
      },
      table,
    ],
    figures: {
      bytesPerTicket: spreadOf([withRooms]),
      bytesPerTombstone: spreadOf([tombstone]),
      redeemCpuAtMillion: ratios.cpu,
      redeemP50AtMillion: ratios.p50,
    },
  };

  /** Both take as many, so that the many stay many. */
  function manyAndFew(what: string, many: Held, few: Held): Entrant<CrowdRow>[] {
    const refill = async () => {
      await few.forget();
      await few.put(sizes.few);
    };
    return [
      { name: `${what} of many`, run: () => row(many, async () => {}) },
      { name: `${what} of few`, run: () => row(few, refill) },
    ];
  }

  async function row(held: Held, before: () => Promise<void>): Promise<CrowdRow> {
    const count = Math.min(sizes.few, 1000);
    await before();
    const { redisUs } = await costOf({ programs: [], redis: held.redis }, () =>
      held.take(count, sizes.concurrency),
    );
    await before();
    const { p50 } = await held.take(count, 1);
    return { cpuUs: redisUs, p50 };
  }
}

type Held = Awaited<ReturnType<typeof heldBy>>;

/** A Redis with tickets, or bare keys. */
async function heldBy({ generator, sizes }: Bench, redis: MeasuredRedis, keeper: Keeper) {
  const run = (job: Pick<RedisJob, 'operation' | 'count'> & Partial<RedisJob>) =>
    generator.run('redis', { url: redis.url, keeper, concurrency: filling, ...job });
  let outstanding = 0;
  const held = {
    redis,
    async put(count: number, rooms?: readonly string[]) {
      await run({ operation: 'put', count, ...(rooms && { rooms }) });
      outstanding += count;
    },
    async take(count: number, concurrency: number) {
      outstanding -= count;
      return run({ operation: 'take', count, concurrency });
    },
    takeTheRest: () => held.take(outstanding, filling),
    async forget() {
      await redis.empty();
      await run({ operation: 'forget', count: 0 });
      outstanding = 0;
    },
    /** Of `sizes.many`, whatever has become of them. */
    bytesEach: async () => ((await redis.memory()) - empty) / sizes.many,
  };
  // Once through it, so that connections and scripts are there and weigh nothing.
  await held.put(10);
  await held.take(10, 1);
  await held.forget();
  const empty = await redis.memory();
  return held;
}

function comparison(rows: ReadonlyMap<string, readonly CrowdRow[]>, { many, few }: Bench['sizes']) {
  const of = (name: string, pick: (row: CrowdRow) => number) => (rows.get(name) ?? []).map(pick);
  const cpu = (row: CrowdRow) => row.cpuUs;
  const p50 = (row: CrowdRow) => row.p50 * 1000;
  const ratio = (what: string, pick: (row: CrowdRow) => number): Spread =>
    ratioOf(of(`${what} of many`, pick), of(`${what} of few`, pick));
  const lines = Object.values(taken).flatMap((what) => [
    ...(['few', 'many'] as const).map((size) => {
      const name = `${what} of ${size}`;
      const text = `${what}, ${number(size === 'few' ? few : many)}`;
      return [text, spread(spreadOf(of(name, cpu))), spread(spreadOf(of(name, p50)))];
    }),
    [`${what}, ratio`, spread(ratio(what, cpu)), spread(ratio(what, p50))],
  ]);
  const table: Table = {
    head: ['of how many that are outstanding', 'Redis, µs of CPU each', 'p50 of one at a time, µs'],
    rows: lines,
  };
  return { table, ratios: { cpu: ratio(taken.product, cpu), p50: ratio(taken.product, p50) } };
}
