/** Something that happened at a known time, by somebody's clock. Milliseconds. */
export interface ClockSample {
  /** Whose clock, for people. */
  of: string;
  /** What it said; it may have been up to `coarseness` more. */
  said: number;
  coarseness: number;
  /** When that was, by Redis' clock where there is one, else by ours. */
  between: readonly [number, number];
}

/** Milliseconds by which a clock is certainly wrong: ahead, or behind where negative. */
export function skewOf({ said, coarseness, between: [earliest, latest] }: ClockSample): number {
  if (said > latest) return said - latest;
  return said + coarseness < earliest ? said + coarseness - earliest : 0;
}

/** A `Date` header: whole seconds, kept for up to another one by Node and by proxies. */
export function dateSample(
  of: string,
  date: string | undefined,
  between: readonly [number, number],
): ClockSample | undefined {
  const said = Date.parse(date ?? '');
  return Number.isNaN(said) ? undefined : { of, said, coarseness: 2000, between };
}
