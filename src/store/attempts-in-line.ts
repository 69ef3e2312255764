import { BrokerError } from '../errors.ts';
import { type Allowance, type Count, isFailedAttempt, type Redemption, type Store } from './store.ts';

/** Milliseconds that an attempt may wait for its address's earlier ones. */
const patience = 5000;

/**
 * The limit on attempts where a ticket and its counter cannot be judged together: they are on different primaries.
 *
 * Where only failures count, an attempt's cost is known when it is over. An address may therefore have no more attempts
 * in flight on one node than it has failures left, and the others wait in line: a whole office can reconnect at once,
 * and a thousand guesses at once get no more answers than a thousand in a row.
 *
 * @returns what redeems on account of an allowance; rejects with `overloaded` when the line does not move
 */
export function attemptsInLine({ count, counted }: Pick<Store, 'count' | 'counted'>, patienceMs = patience) {
  const lines = new Map<string, Line>();

  return async (allowance: Allowance, redeem: () => Promise<Redemption>): Promise<Redemption> => {
    const { counter, limit, windowMs, counting } = allowance;
    if (counting === 'all') {
      const used = await count(counter, windowMs);
      return used.count > limit ? limited(used) : redeem();
    }
    const line = lines.get(counter) ?? new Line(limit, patienceMs);
    lines.set(counter, line.join());
    try {
      const refused = await line.enter(() => counted(counter));
      if (refused) return limited(refused);
      try {
        const redemption = await redeem();
        if (isFailedAttempt(redemption)) await count(counter, windowMs);
        return redemption;
      } finally {
        line.leave();
      }
    } finally {
      if (line.part() === 0) lines.delete(counter);
    }
  };
}

function limited({ resetMs }: Count): Redemption {
  return { outcome: 'limited', resetMs };
}

/** Those of one address that are at it, and those that wait, first come first served. */
class Line {
  #members = 0;
  #inFlight = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #limit: number;
  readonly #patienceMs: number;

  constructor(limit: number, patienceMs: number) {
    this.#limit = limit;
    this.#patienceMs = patienceMs;
  }

  join(): this {
    this.#members++;
    return this;
  }

  /** Returns how many remain. */
  part(): number {
    return --this.#members;
  }

  /**
   * Waits until this attempt and those in flight could all fail without going over the limit.
   *
   * @returns the count, when it is there already
   */
  async enter(failures: () => Promise<Count>): Promise<Count | undefined> {
    const deadline = performance.now() + this.#patienceMs;
    try {
      for (;;) {
        const counted = await failures();
        if (counted.count >= this.#limit) {
          this.#callNext();
          return counted;
        }
        if (counted.count + this.#inFlight < this.#limit) break;
        await this.#turn(deadline - performance.now());
      }
    } catch (error) {
      this.#callNext();
      throw error;
    }
    this.#inFlight++;
    return undefined;
  }

  leave(): void {
    this.#inFlight--;
    this.#callNext();
  }

  #callNext(): void {
    this.#waiting.shift()?.();
  }

  #turn(withinMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const called = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(called), 1);
        reject(new BrokerError('overloaded', { reason: 'attempt_queue' }));
      }, withinMs);
      this.#waiting.push(called);
    });
  }
}
