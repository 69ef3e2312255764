export interface Repetition {
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
  const timer = setInterval(() => {
    underWay ??= work()
      .catch(() => {})
      .finally(() => {
        underWay = undefined;
      });
  }, ms).unref();
  return {
    async stop() {
      clearInterval(timer);
      await underWay;
    },
  };
}
