/** Messages that wait for a connection, and for their turn on it. */
export interface Outbox {
  /** How many wait. */
  readonly size: number;
  /** Whether a flush is under way: what is said now has to come behind it. */
  readonly flushing: boolean;
  /** @returns false when it is full: the message has not been taken */
  put(message: string): boolean;
  /**
   * Hands all of them over in time, oldest first, until one is not taken: that one and the rest go on waiting.
   *
   * @param perSecond messages that the server takes; default: what a broker usually does
   */
  flush(take: (message: string) => boolean, perSecond?: number): void;
  /** Ends the flush: what has not been handed over goes on waiting. */
  hold(): void;
  /** @returns what was waiting, which waits no more */
  empty(): string[];
}

/** Messages a second that a broker takes, unless it says otherwise; twice that at once, and what is over that is lost. */
const usualLimit = 20;

/** Messages a second that are never too many for a server. @param told in its welcome */
export function messagesPerSecond(told = usualLimit): number {
  return told >= 1 ? Math.min(told, usualLimit) : usualLimit;
}

/** @param limit messages at most */
export function createOutbox(limit: number): Outbox {
  let waiting: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  const hold = () => {
    clearTimeout(timer);
    timer = undefined;
  };

  return {
    get size() {
      return waiting.length;
    },
    get flushing() {
      return timer !== undefined;
    },
    put(message) {
      if (waiting.length >= limit) return false;
      waiting.push(message);
      return true;
    },
    flush(take, perSecond) {
      // Well within it: others are sent beside ours.
      const taken = messagesPerSecond(perSecond);
      const atOnce = Math.max(1, taken / 2);
      const everyMs = 1500 / taken;
      let due = atOnce;
      let since = performance.now();
      const step = () => {
        hold();
        const now = performance.now();
        // A browser wakes a page that nobody sees once a second, or less: it catches up.
        due = Math.min(atOnce, due + (now - since) / everyMs);
        since = now;
        for (const message of waiting.slice(0, due)) {
          if (!take(message)) return;
          waiting.shift();
          due--;
        }
        if (waiting.length > 0) timer = setTimeout(step, (1 - due) * everyMs);
      };
      step();
    },
    hold,
    empty() {
      hold();
      const messages = waiting;
      waiting = [];
      return messages;
    },
  };
}
