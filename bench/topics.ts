import { measureMint } from './measure/mint.ts';
import { measureUpgrade } from './measure/upgrade.ts';
import type { Bench, Section } from './section.ts';

/** What can be measured, in the order in which it is reported. */
export const topics: Record<string, (bench: Bench) => Promise<Section>> = {
  upgrade: measureUpgrade,
  mint: measureMint,
};
