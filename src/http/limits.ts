import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BrokerError } from '../errors.ts';
import type { Store } from '../store/store.ts';

/** Counts the request for `key`. @throws BrokerError `rate_limited`, `store_unavailable` */
export type Limit = (request: FastifyRequest, reply: FastifyReply, key: string) => Promise<void>;

/** What is counted, and by what. */
export type LimitName =
  | 'login_address'
  | 'login_name'
  | 'test_token_address'
  | 'mint_address'
  | 'mint_subject'
  | 'refresh_address'
  | 'end_subject'
  | 'demo_address';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the limiter that is being asked counts by. */
    limitedBy: string;
  }
}

export interface LimitsOptions {
  store: Store;
  /** Seconds. */
  window: number;
}

/** Registers @fastify/rate-limit on the broker's own store, so that all nodes count together. */
export async function registerLimits(app: FastifyInstance, { store, window }: LimitsOptions): Promise<void> {
  app.decorateRequest('limitedBy', '');
  await app.register(rateLimit, {
    global: false,
    timeWindow: window * 1000,
    store: countersIn(store),
    keyGenerator: (request) => request.limitedBy,
  });
}

/** A limit of `max` a window for each key; 0 = none. `name` sets its counters apart from those of other limits. */
export function limit(app: FastifyInstance, name: LimitName, max: number): Limit {
  if (max === 0) return async () => {};
  const count = app.createRateLimit({ max });
  return async (request, reply, key) => {
    request.limitedBy = `${name}:${key}`;
    const counted = await count(request);
    if (counted.isAllowed) return;
    tell(reply, counted);
    if (!counted.isExceeded) return;
    throw new BrokerError('rate_limited', { reason: `${name}_limit`, retryAfter: counted.ttlInSeconds });
  };
}

/** The headers of draft-ietf-httpapi-ratelimit-headers-06; where two limits apply, those of the tighter one. */
function tell(reply: FastifyReply, counted: { max: number; remaining: number; ttlInSeconds: number }): void {
  const told = reply.getHeader('ratelimit-remaining');
  if (told !== undefined && Number(told) <= counted.remaining) return;
  reply.headers({
    'ratelimit-limit': counted.max,
    'ratelimit-remaining': counted.remaining,
    'ratelimit-reset': counted.ttlInSeconds,
  });
}

type Counted = (error: Error | null, result?: { current: number; ttl: number }) => void;

/** The store in the form that @fastify/rate-limit asks for: a class with callbacks. */
function countersIn(store: Store) {
  return class StoreCounters {
    incr(key: string, callback: Counted, timeWindow: number): void {
      store.count(key, timeWindow).then(
        ({ count, resetMs }) => callback(null, { current: count, ttl: resetMs }),
        (error: Error) => callback(error),
      );
    }

    child(): StoreCounters {
      return this;
    }
  };
}
