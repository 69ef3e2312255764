export interface Repetition {
  /** Does it now, too, unless it is being done, or has been ended. */
  now(): void;
  /** Ends it. Resolves once what is under way is over. */
  stop(): Promise<void>;
}

/**
 * Does something every so often, and leaves out a time where it is not done yet with the one before. What fails is for the
 * next time to make good.
 *
 * @param ms milliseconds from one time to the next
 */
export function repeatedly(ms: number, work: () => Promise<unknown>): Repetition {
  let underWay: Promise<unknown> | undefined;
  let stopped = false;
  const begin = () => {
    if (stopped) return;
    underWay ??= work()
      .catch(() => {})
      .finally(() => {
        underWay = undefined;
      });
  };
  const timer = setInterval(begin, ms).unref();
  return {
    now: begin,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await underWay;
    },
  };
}
