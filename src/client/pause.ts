/** A wait that can be cut short. */
export interface Pause {
  /**
   * @param ms how long
   * @param atLeastMs how much of it `cutTo` leaves
   * @throws the signal's reason, as soon as it is aborted
   */
  wait(ms: number, atLeastMs: number, signal: AbortSignal): Promise<void>;
  /** Ends the wait that is under way, if there is one, in `ms` from now or when it would have ended, whichever is first. */
  cutTo(ms: number): void;
  /** Ends it at once. */
  release(): void;
}

/** A timer that is set for more milliseconds fires at once. */
const longest = 2 ** 31 - 1;

export function createPause(): Pause {
  let cut: ((ms: number) => void) | undefined;
  let end: (() => void) | undefined;
  return {
    async wait(ms, atLeastMs, signal) {
      signal.throwIfAborted();
      const started = Date.now();
      let timer: ReturnType<typeof setTimeout> | undefined;
      let abort = () => {};
      try {
        await new Promise<void>((resolve, reject) => {
          const endAfter = (left: number) => {
            clearTimeout(timer);
            timer = setTimeout(resolve, Math.min(left, longest));
          };
          abort = () => reject(signal.reason);
          signal.addEventListener('abort', abort);
          end = resolve;
          cut = (to) => {
            const gone = Date.now() - started;
            endAfter(Math.min(ms - gone, Math.max(to, atLeastMs - gone)));
          };
          endAfter(ms);
        });
      } finally {
        cut = end = undefined;
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
      }
    },
    cutTo: (ms) => cut?.(ms),
    release: () => end?.(),
  };
}
