/** Nobody waits longer. */
const longestMs = 24 * 3600 * 1000;

/**
 * Reads a `Retry-After` header: seconds or a date (RFC 9110 10.2.3).
 *
 * @param now milliseconds since the epoch
 * @returns milliseconds; undefined where there is none that can be read
 */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (!header) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), longestMs);
}
