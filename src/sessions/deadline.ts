import type { Timetable } from './timetable.ts';

/** A moment that can be moved, with a warning before it. */
export interface Deadline {
  /** @param at Unix milliseconds */
  moveTo(at: number): void;
  cancel(): void;
}

export interface DeadlineOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  timetable: Timetable;
  /** Milliseconds before the end. */
  warnBefore: number;
  onWarning: (leftMs: number) => void;
  onEnd: () => void;
}

export function deadline({ now, timetable, warnBefore, onWarning, onEnd }: DeadlineOptions): Deadline {
  let cancel = () => {};
  return {
    moveTo(at) {
      cancel();
      const toTheEnd = () => {
        cancel = timetable.enter(at, onEnd);
      };
      if (at - now() <= warnBefore) return toTheEnd();
      cancel = timetable.enter(at - warnBefore, () => {
        toTheEnd();
        onWarning(at - now());
      });
    },
    cancel: () => cancel(),
  };
}
