/** A token bucket: `perSecond` things a second, and twice that at once. */
export interface TokenBucket {
  /** @returns 0 when it may be done, else milliseconds until it may */
  take(): number;
}

/** @param now milliseconds */
export function tokenBucket(perSecond: number, now: () => number): TokenBucket {
  const most = 2 * perSecond;
  let left = most;
  let since = now();
  return {
    take() {
      const present = now();
      // A clock that was set back takes nothing away.
      left = Math.min(most, left + (Math.max(0, present - since) / 1000) * perSecond);
      since = present;
      if (left < 1) return Math.ceil(((1 - left) / perSecond) * 1000);
      left--;
      return 0;
    },
  };
}
