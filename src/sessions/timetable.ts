import { Roster } from '../roster.ts';

/** Moments are met this exactly, in milliseconds: never early, and late by no more. */
const grain = 100;

/**
 * Calls back at moments, for many at once and with one timer: of each duration that a timer which is unref'd ever had, Node keeps a
 * list until that time is over, and most moments are struck off long before.
 */
export interface Timetable {
  /** @param at Unix milliseconds. @returns what strikes it off */
  enter(at: number, callback: () => void): () => void;
}

/** @param now milliseconds since the epoch. That it is set later changes no moment that has been entered */
export function timetable(now: () => number): Timetable {
  /** What is due, by the number of its grain since the process began. */
  const moments = new Map<number, Roster<() => void>>();
  /** The last one that has been met. */
  let met = 0;
  let timer: NodeJS.Timeout | undefined;

  const passed = () => Math.floor(performance.now() / grain);
  const awaitNext = () => {
    timer = setTimeout(meet, grain - (performance.now() % grain)).unref();
  };
  const meet = () => {
    timer = undefined;
    try {
      for (const last = passed(); met < last; ) {
        met++;
        const due = moments.get(met) ?? [];
        moments.delete(met);
        for (const callback of due) callback();
      }
    } finally {
      if (moments.size > 0 && !timer) awaitNext();
    }
  };

  return {
    enter(at, callback) {
      if (!timer) {
        if (moments.size === 0) met = passed();
        awaitNext();
      }
      const named = Math.ceil((performance.now() + at - now()) / grain);
      const name = named > met ? named : met + 1;
      const due = moments.get(name) ?? new Roster();
      moments.set(name, due);
      const strikeOff = due.add(callback);
      return () => {
        strikeOff();
        if (due.size === 0 && moments.get(name) === due) moments.delete(name);
      };
    },
  };
}
