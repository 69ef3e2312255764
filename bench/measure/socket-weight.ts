import { number } from '../format.ts';
import type { Program } from '../process/program.ts';
import type { MeasuredRedis } from '../process/redis.ts';
import type { Plot, Table } from '../section.ts';
import type { SocketCrowd } from './socket-crowd.ts';

/** Bytes for each socket, at one count of them. */
interface Weight {
  sockets: number;
  rss: number;
  heap: number;
  redis: number;
}

export interface Weighed {
  name: string;
  weights: readonly Weight[];
}

export interface WeighOptions {
  program: Program;
  redis?: MeasuredRedis;
  crowd: SocketCrowd;
  /** Counts of sockets, growing. */
  steps: readonly number[];
  /** Opens what is to be in the crowd besides idle sockets. */
  before?: (sockets: number) => Promise<void>;
  /** Told when that many are live. */
  at?: (sockets: number) => Promise<void>;
}

/** Opens more and more sockets, and weighs the process at each step. */
export async function weigh({ program, redis, crowd, steps, before, at }: WeighOptions): Promise<Weighed> {
  const sample = async () => {
    const { rss, heap } = await program.collected();
    return { rss, heap, redis: (await redis?.memory()) ?? 0 };
  };
  // What only the first ones need is not theirs.
  await crowd.open('idle', Math.min(500, steps[0] ?? 0));
  await crowd.drop();
  const empty = await sample();

  const weights: Weight[] = [];
  for (const sockets of steps) {
    await before?.(sockets);
    await crowd.open('idle', sockets - crowd.live);
    const full = await sample();
    const each = (what: keyof typeof full) => (full[what] - empty[what]) / sockets;
    weights.push({ sockets, rss: each('rss'), heap: each('heap'), redis: each('redis') });
    await at?.(sockets);
  }
  await crowd.drop();
  return { name: program.name, weights };
}

export function weightTable(all: readonly Weighed[]): Table {
  const kib = (bytes: number) => number(bytes / 1024);
  return {
    head: ['KiB for each socket', 'sockets', 'process (RSS)', 'of it heap', 'Redis, tombstone included'],
    rows: all.flatMap(({ name, weights }) =>
      weights.map(({ sockets, rss, heap, redis }) => [
        name,
        number(sockets),
        kib(rss),
        kib(heap),
        redis > 0 ? kib(redis) : '–',
      ]),
    ),
  };
}

export function weightPlot(all: readonly Weighed[], steps: readonly number[]): Plot {
  return {
    name: 'socket-memory',
    title: 'What an idle socket weighs',
    kind: 'lines',
    unit: 'KiB of the process for each socket',
    along: steps.map(number),
    series: all.map(({ name, weights }) => ({ name, values: weights.map(({ rss }) => rss / 1024) })),
  };
}
