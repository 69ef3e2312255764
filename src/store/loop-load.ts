/** Milliseconds from one look to the next. */
const lookMs = 20;
/** Shares of the time in which the event loop has something to do: it is short of time from one on, and down to the other. */
const [shortFrom, shortTo] = [0.9, 0.5];

/**
 * Whether this process' event loop is short of time, as of a moment ago. What makes it less busy by waiting may go on with that
 * until half of its time is idle.
 */
export function loopLoad(): () => boolean {
  let last = performance.eventLoopUtilization();
  let lookedAt = performance.now();
  let isShort = false;
  return () => {
    if (performance.now() - lookedAt < lookMs) return isShort;
    const next = performance.eventLoopUtilization();
    isShort = performance.eventLoopUtilization(next, last).utilization > (isShort ? shortTo : shortFrom);
    last = next;
    lookedAt = performance.now();
    return isShort;
  };
}
