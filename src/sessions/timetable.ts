/** Moments are met this exactly, in milliseconds: never early, and late by no more. */
const grain = 100;

/** Calls back at moments, for many at once: those of the same tenth of a second share one timer. */
export interface Timetable {
  /** @param at Unix milliseconds. @returns what strikes it off */
  enter(at: number, callback: () => void): () => void;
}

interface Moment {
  readonly due: Set<() => void>;
  readonly timer: NodeJS.Timeout;
}

/** @param now milliseconds since the epoch */
export function timetable(now: () => number): Timetable {
  const moments = new Map<number, Moment>();

  const strike = (moment: number) => {
    const due = moments.get(moment)?.due ?? [];
    moments.delete(moment);
    for (const callback of due) callback();
  };

  return {
    enter(at, callback) {
      const name = Math.ceil(at / grain) * grain;
      const moment = moments.get(name) ?? {
        due: new Set(),
        timer: setTimeout(strike, name - now(), name).unref(),
      };
      moments.set(name, moment);
      moment.due.add(callback);
      return () => {
        moment.due.delete(callback);
        // What is due in hours is most often struck off long before.
        if (moment.due.size > 0 || moments.get(name) !== moment) return;
        clearTimeout(moment.timer);
        moments.delete(name);
      };
    },
  };
}
