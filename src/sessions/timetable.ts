/** Moments are met this exactly, in milliseconds: never early, and late by no more. */
const grain = 100;

/** Calls back at moments, for many at once: those of the same tenth of a second share one timer. */
export interface Timetable {
  /** @param at Unix milliseconds. @returns what strikes it off */
  enter(at: number, callback: () => void): () => void;
}

/** @param now milliseconds since the epoch */
export function timetable(now: () => number): Timetable {
  const moments = new Map<number, Set<() => void>>();

  const strike = (moment: number) => {
    const due = moments.get(moment) ?? [];
    moments.delete(moment);
    for (const callback of due) callback();
  };

  return {
    enter(at, callback) {
      const moment = Math.ceil(at / grain) * grain;
      let due = moments.get(moment);
      if (!due) {
        due = new Set();
        moments.set(moment, due);
        setTimeout(strike, moment - now(), moment).unref();
      }
      due.add(callback);
      return () => void due.delete(callback);
    },
  };
}
