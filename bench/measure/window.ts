import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadReport } from '../load/jobs.ts';
import type { Program } from '../process/program.ts';
import type { MeasuredRedis } from '../process/redis.ts';

/** One round of one contender. Microseconds of CPU time are for each operation; latencies are milliseconds. */
export interface Row {
  serverUs: number;
  redisUs: number;
  generatorUs: number;
  perSecond: number;
  p50: number;
  p99: number;
  /** Share of one core, while the load went on. */
  serverBusy: number;
  generatorBusy: number;
}

export interface Measured {
  programs: readonly Program[];
  redis?: MeasuredRedis | undefined;
}

/** Milliseconds for what an operation leaves behind: what closes late is a part of its cost. */
const settlingMs = 60;

/** What a load costs those who carry it. */
export async function costOf({ programs, redis }: Measured, load: () => Promise<LoadReport>): Promise<Row> {
  const spent = async () => {
    const samples = await Promise.all(programs.map((program) => program.sample()));
    return {
      server: samples.reduce((sum, { cpuUs }) => sum + cpuUs, 0),
      redis: (await redis?.cpuUs()) ?? 0,
    };
  };
  await sleep(settlingMs);
  const before = await spent();
  const { operations, wallMs, cpuUs, p50, p99 } = await load();
  await sleep(settlingMs);
  const after = await spent();
  const serverUs = after.server - before.server;
  return {
    serverUs: serverUs / operations,
    redisUs: (after.redis - before.redis) / operations,
    generatorUs: cpuUs / operations,
    perSecond: (operations / wallMs) * 1000,
    p50,
    p99,
    serverBusy: serverUs / 1000 / wallMs,
    generatorBusy: cpuUs / 1000 / wallMs,
  };
}
