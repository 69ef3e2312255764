/** A moment that can be moved, with a warning before it. */
export interface Deadline {
  /** @param at Unix milliseconds */
  moveTo(at: number): void;
  cancel(): void;
}

export interface DeadlineOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds before the end. */
  warnBefore: number;
  onWarning: (leftMs: number) => void;
  onEnd: () => void;
}

export function deadline({ now, warnBefore, onWarning, onEnd }: DeadlineOptions): Deadline {
  let warning: NodeJS.Timeout | undefined;
  let end: NodeJS.Timeout | undefined;
  const cancel = () => {
    clearTimeout(warning);
    clearTimeout(end);
  };
  return {
    moveTo(at) {
      cancel();
      const left = at - now();
      const warnIn = left - warnBefore;
      if (warnIn > 0) warning = setTimeout(() => onWarning(at - now()), warnIn).unref();
      end = setTimeout(onEnd, left).unref();
    },
    cancel,
  };
}
