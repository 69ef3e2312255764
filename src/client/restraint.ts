import { type Backoff, fullJitter } from './backoff.ts';
import { createPause } from './pause.ts';
import { isOffline } from './surroundings.ts';

/** Why the next attempt has to wait. */
export interface Setback {
  why: string;
  /** Milliseconds that somebody has asked for: nothing cuts them short. */
  atLeastMs?: number | undefined;
  /** Whoever asked has spread its peers already. */
  exact?: boolean;
}

export interface RestraintOptions {
  backoff: Backoff;
  /** @param failures in a row */
  onWait: (why: string, waitMs: number, failures: number) => void;
}

/** What stands between a failure and the next attempt. */
export interface Restraint {
  /** Waits as the last setback demands. @throws the signal's reason */
  hold(signal: AbortSignal): Promise<void>;
  /** Undefined: nothing stands in the way. */
  suffer(setback: Setback | undefined): void;
  /** The failures in a row are over. */
  forgive(): void;
  /** Now may be a better time than was thought. */
  wake(): void;
  /** Waits no longer, whatever was asked for. */
  release(): void;
}

/** Those who wake together do not all knock at once: milliseconds. */
const wakeWithin = 500;
/** Milliseconds after which an attempt is made though the browser says that it is offline: it may be wrong. */
const offlineAtMost = 30_000;

/** @returns milliseconds, for those who have been woken by the same thing */
export const soon = () => Math.random() * wakeWithin;

export function createRestraint({ backoff, onWait }: RestraintOptions): Restraint {
  const pause = createPause();
  let setback: Setback | undefined;
  let failures = 0;

  const rest = (why: string, waitMs: number, atLeastMs: number, signal: AbortSignal) => {
    onWait(why, Math.round(waitMs), failures);
    return pause.wait(waitMs, atLeastMs, signal);
  };

  return {
    async hold(signal) {
      signal.throwIfAborted();
      if (!setback) return;
      failures++;
      const { why, atLeastMs = 0, exact } = setback;
      // A server that sends its peers away again and again spreads nobody.
      const jitter = exact && failures === 1 ? 0 : fullJitter(failures, backoff);
      await rest(why, atLeastMs + jitter, atLeastMs, signal);
      if (isOffline()) await rest('offline', offlineAtMost, 0, signal);
    },
    suffer(next) {
      setback = next;
    },
    forgive() {
      failures = 0;
    },
    wake: () => pause.cutTo(soon()),
    release: () => pause.release(),
  };
}
