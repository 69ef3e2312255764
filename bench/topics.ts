import { measureMint } from './measure/mint.ts';
import { measureRedis } from './measure/redis.ts';
import { measureScaling } from './measure/scaling.ts';
import { measureSockets } from './measure/sockets.ts';
import { measureStorm } from './measure/storm.ts';
import { measureUpgrade } from './measure/upgrade.ts';
import type { Bench, Section } from './section.ts';

/** What can be measured, in the order in which it is reported. */
export const topics: Record<string, (bench: Bench) => Promise<Section>> = {
  upgrade: measureUpgrade,
  mint: measureMint,
  redis: measureRedis,
  sockets: measureSockets,
  storm: measureStorm,
  scaling: measureScaling,
};
