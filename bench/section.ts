import type { Generator } from './process/generator.ts';
import type { Sizes } from './sizes.ts';
import type { Spread } from './statistics.ts';

/** A number that a target is set for, or that another topic reckons with. */
export type FigureName =
  | 'upgradeToBareWs'
  | 'upgradeToHs256'
  | 'mintCached'
  | 'mintUncached'
  | 'redisPerRedemption'
  | 'roundTrips'
  | 'bytesPerTicket'
  | 'bytesPerTombstone'
  | 'redeemCpuAtMillion'
  | 'redeemP50AtMillion'
  | 'bytesPerSocket'
  | 'stormToIdeal'
  | 'stormRefusals';

export interface Table {
  head: readonly string[];
  rows: readonly (readonly string[])[];
}

export interface Plot {
  /** Of its file, without the suffix. */
  name: string;
  title: string;
  kind: 'bars' | 'lines';
  /** What the numbers are. */
  unit: string;
  /** What stands along the other axis. */
  along: readonly string[];
  series: readonly { name: string; values: readonly number[] }[];
}

/** What one topic has to say. */
export interface Section {
  title: string;
  /** Markdown: what was done, and what to think of it. */
  text: string;
  tables: readonly Table[];
  plots: readonly Plot[];
  figures: Partial<Record<FigureName, Spread>>;
}

/** What every topic is given. */
export interface Bench {
  sizes: Sizes;
  generator: Generator;
  /** A folder that is removed afterwards. */
  folder: string;
  /** Where profiles of the last round go; nothing is profiled without it. */
  profiles: string | undefined;
  progress: (text: string) => void;
  /** What the topics before this one have found. */
  figures: Section['figures'];
}
