import { countedAs } from '../address.ts';
import { BrokerError } from '../errors.ts';
import type { Count, Store } from '../store/store.ts';

export interface AttemptsOptions {
  store: Store;
  /** Attempts an address has per window; 0 = no limit. */
  limit: number;
  /** Milliseconds. */
  windowMs: number;
  /** `failed`: only refused attempts count. `all`: every one does. */
  counting: 'failed' | 'all';
  /** Milliseconds that an attempt may wait for its address's earlier ones. */
  patienceMs: number;
}

/**
 * Makes one attempt on behalf of an address.
 *
 * @throws BrokerError `rate_limited` when the address is over its limit; whatever the attempt throws
 */
export type Attempt = <T>(address: string, attempt: () => Promise<T>) => Promise<T>;

/**
 * The limit on redemption attempts per address, counted in the store for all nodes.
 *
 * Where only failures count, an attempt's cost is known when it is over. An address may therefore have no more attempts
 * in flight on one node than it has failures left, and the others wait in line: a whole office can reconnect at once,
 * and a thousand guesses at once get no more answers than a thousand in a row.
 */
export function attemptLimit({ store, limit, windowMs, counting, patienceMs }: AttemptsOptions): Attempt {
  const lines = new Map<string, Line>();
  if (limit === 0) return (_address, attempt) => attempt();

  if (counting === 'all') {
    return async (address, attempt) => {
      const counted = await store.count(counterOf(address), windowMs);
      if (counted.count > limit) throw limited(counted);
      return attempt();
    };
  }

  return async (address, attempt) => {
    const counter = counterOf(address);
    const line = lines.get(counter) ?? new Line(limit, patienceMs);
    lines.set(counter, line.join());
    try {
      await line.enter(() => store.counted(counter));
      try {
        return await attempt();
      } catch (error) {
        if (isFailure(error)) await store.count(counter, windowMs);
        throw error;
      } finally {
        line.leave();
      }
    } finally {
      if (line.part() === 0) lines.delete(counter);
    }
  };
}

const counterOf = (address: string) => `attempts:${countedAs(address)}`;

// An attempt that the store could not judge was nobody's fault.
function isFailure(error: unknown): boolean {
  return error instanceof BrokerError && error.status < 500;
}

function limited({ resetMs }: Count): BrokerError {
  return new BrokerError('rate_limited', {
    reason: 'attempt_limit',
    retryAfter: Math.ceil(resetMs / 1000) || 1,
  });
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

  /** Waits until this attempt and those in flight could all fail without going over the limit. */
  async enter(failures: () => Promise<Count>): Promise<void> {
    const deadline = performance.now() + this.#patienceMs;
    try {
      for (;;) {
        const counted = await failures();
        if (counted.count >= this.#limit) throw limited(counted);
        if (counted.count + this.#inFlight < this.#limit) break;
        await this.#turn(deadline - performance.now());
      }
    } catch (error) {
      this.#callNext();
      throw error;
    }
    this.#inFlight++;
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
