/** A clock that stands still while this process does not run. */
export interface OwnClock extends Disposable {
  /** Milliseconds. */
  now(): number;
}

/** Milliseconds between two ticks, and those that one may take and still be all ours. */
const [tickMs, mostMs] = [5, 25];

/**
 * Measures what this process and nothing else has to answer for: of the time between two of its turns, what goes beyond
 * `mostMs` and beyond the work that it did meanwhile is not counted, for a busy machine has kept it from running.
 */
export function ownClock(): OwnClock {
  let own = 0;
  let last = performance.now();
  let worked = process.cpuUsage();
  const tick = () => {
    const at = performance.now();
    const { user, system } = process.cpuUsage(worked);
    own += Math.min(at - last, Math.max(mostMs, (user + system) / 1000));
    last = at;
    worked = process.cpuUsage();
  };
  const ticking = setInterval(tick, tickMs);
  return {
    now() {
      tick();
      return own;
    },
    [Symbol.dispose]: () => clearInterval(ticking),
  };
}
