import { infoField } from './self-test.ts';

/** In bytes. */
export interface RedisMemory {
  used: number;
  /** 0: as much as its machine has. */
  max: number;
}

/** The share of what a Redis may use that it does use; 0 where nothing limits it. */
export function shareOf({ used, max }: RedisMemory): number {
  return max > 0 ? used / max : 0;
}

/** The memory of the primary that is nearest to its limit, by the text of `INFO` from each. */
export function fullestOf(primaries: readonly string[]): RedisMemory | undefined {
  const [fullest] = primaries
    .map((info) => ({
      used: Number(infoField(info, 'used_memory') ?? 0),
      max: Number(infoField(info, 'maxmemory') ?? 0),
    }))
    .sort((a, b) => shareOf(b) - shareOf(a) || b.used - a.used);
  return fullest;
}
