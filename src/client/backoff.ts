export interface Backoff {
  /** The widest wait after the first failure, in milliseconds; it doubles with each further one. */
  baseMs: number;
  /** The widest wait of all, in milliseconds. */
  capMs: number;
}

/**
 * Full jitter: anything from nothing to the widest wait, so that those whom one node has lost do not come back together.
 *
 * @param failures in a row, 1 or more
 * @returns milliseconds
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function fullJitter(failures: number, { baseMs, capMs }: Backoff, random = Math.random): number {
  return random() * Math.min(capMs, baseMs * 2 ** (failures - 1));
}
