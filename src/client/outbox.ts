/** Messages that wait for a connection. */
export interface Outbox {
  /** @returns false when it is full: the message has not been taken */
  put(message: string): boolean;
  /** Hands all of them over, oldest first, until one is not taken: that one and the rest go on waiting. */
  flush(take: (message: string) => boolean): void;
  /** @returns what was waiting, which waits no more */
  empty(): string[];
}

/** @param limit messages at most */
export function createOutbox(limit: number): Outbox {
  let waiting: string[] = [];
  return {
    put(message) {
      if (waiting.length >= limit) return false;
      waiting.push(message);
      return true;
    },
    flush(take) {
      const refused = waiting.findIndex((message) => !take(message));
      waiting = refused < 0 ? [] : waiting.slice(refused);
    },
    empty() {
      const messages = waiting;
      waiting = [];
      return messages;
    },
  };
}
