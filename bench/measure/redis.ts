import { number, spread } from '../format.ts';
import type { RedisJob } from '../load/jobs.ts';
import { type MeasuredRedis, startMeasuredRedis } from '../process/redis.ts';
import { interleaved } from '../rounds.ts';
import type { Bench, Section, Table } from '../section.ts';
import { ratioOf, type Spread, spreadOf } from '../statistics.ts';
import { measureCrowd } from './crowd.ts';
import { measureRoundTrips } from './round-trips.ts';
import { costOf, type Row } from './window.ts';

/** What Redis itself has to do, and what it has to hold. */
export async function measureRedis(bench: Bench): Promise<Section> {
  const commands = await measureCommands(bench);
  const trips = await measureRoundTrips(bench);
  const crowd = await measureCrowd(bench);
  return {
    title: 'Redis',
    text: `The product's own store module drives a redis-server without a broker around it, ${bench.sizes.concurrency} commands at a time over one connection; the bare commands go over the same kind of connection with the same record. What a round trip is was counted by a proxy between the product and its Redis.`,
    tables: [commands.table, trips.table, ...crowd.tables],
    plots: [],
    figures: {
      redisPerRedemption: commands.redeemUs,
      roundTrips: trips.upgrade,
      ...crowd.figures,
    },
  };
}

const kinds = [
  { name: 'bare SET', keeper: 'bare', operation: 'put' },
  { name: 'mint', keeper: 'product', operation: 'put' },
  { name: 'bare GETDEL', keeper: 'bare', operation: 'take' },
  { name: 'redeem', keeper: 'product', operation: 'take' },
] as const;

async function measureCommands(bench: Bench): Promise<{ table: Table; redeemUs: Spread }> {
  await using started = new AsyncDisposableStack();
  const { sizes, generator, progress } = bench;
  const redis = await startMeasuredRedis();
  started.defer(() => redis.stop());
  const job = (kind: Pick<RedisJob, 'keeper' | 'operation'>): RedisJob => ({
    ...kind,
    url: redis.url,
    count: sizes.redisOperations,
    concurrency: sizes.concurrency,
  });
  let calls = new Map<string, string>();

  const entrants = kinds.map((kind) => ({
    name: kind.name,
    async run(): Promise<Row> {
      // There is something to take, and no more than that.
      if (kind.operation === 'take') await generator.run('redis', { ...job(kind), operation: 'put' });
      await redis.resetCalls();
      const row = await costOf({ programs: [], redis }, () => generator.run('redis', job(kind)));
      calls = new Map(calls).set(kind.name, await callsOf(redis, sizes.redisOperations));
      await redis.empty();
      await generator.run('redis', { ...job(kind), operation: 'forget' });
      return row;
    },
  }));
  const rows = await interleaved(entrants, { ...sizes, onRound: (text) => progress(`redis: ${text}`) });

  const us = (name: string) => (rows.get(name) ?? []).map(({ redisUs }) => redisUs);
  const line = (name: string, limit: string) => [
    name,
    spread(spreadOf(us(name))),
    number(ratioOf(us(name), us(limit)).median),
    calls.get(name) ?? '',
  ];
  return {
    table: {
      head: ['under load', 'Redis, µs of CPU', '× bare', 'commands run, those of scripts included'],
      rows: [
        line('bare SET', 'bare SET'),
        line('mint', 'bare SET'),
        line('bare GETDEL', 'bare GETDEL'),
        line('redeem', 'bare GETDEL'),
      ],
    },
    redeemUs: spreadOf(us('redeem')),
  };
}

/** Commands per operation; what is called less than once in ten is somebody else's. */
async function callsOf(redis: MeasuredRedis, operations: number): Promise<string> {
  const calls = [...(await redis.calls())].map(([name, count]) => [name, count / operations] as const);
  return calls
    .filter(([, share]) => share > 0.1)
    .map(([name, share]) => `${number(share)} ${name.toUpperCase()}`)
    .join(', ');
}
