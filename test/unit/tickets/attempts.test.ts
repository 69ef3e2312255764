import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import { type AttemptsOptions, attemptLimit } from '../../../src/tickets/attempts.ts';

function attempts(options: Partial<AttemptsOptions> = {}) {
  const store = memoryStore({ now: Date.now });
  return attemptLimit({
    store,
    limit: 10,
    windowMs: 60_000,
    counting: 'failed',
    patienceMs: 5000,
    ...options,
  });
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));
const succeed = async () => {
  await tick();
  return 'admitted';
};
const fail = async () => {
  await tick();
  throw new BrokerError('invalid_ticket');
};
const outage = async () => {
  throw new BrokerError('store_unavailable');
};

async function codes(results: Promise<unknown>[]): Promise<Record<string, number>> {
  const settled = await Promise.allSettled(results);
  const counted: Record<string, number> = {};
  for (const result of settled) {
    const code = result.status === 'fulfilled' ? 'admitted' : (result.reason as BrokerError).code;
    counted[code] = (counted[code] ?? 0) + 1;
  }
  return counted;
}

const times = (count: number, make: () => Promise<unknown>) => Array.from({ length: count }, make);

describe('attemptLimit', () => {
  test('a whole office can come back at once', async () => {
    const attempt = attempts();
    expect(await codes(times(500, () => attempt('192.0.2.1', succeed)))).toEqual({ admitted: 500 });
  });

  test('a thousand guesses at once get no more answers than a thousand in a row', async () => {
    const attempt = attempts();
    const counted = await codes(times(1000, () => attempt('192.0.2.1', fail)));
    expect(counted).toEqual({ invalid_ticket: 10, rate_limited: 990 });
  });

  test('over the limit, even a good ticket waits, and is told how long', async () => {
    const attempt = attempts();
    await codes(times(10, () => attempt('192.0.2.1', fail)));
    const refused = attempt('192.0.2.1', succeed);
    await expect(refused).rejects.toMatchObject({ code: 'rate_limited', retryAfter: expect.closeTo(60, -1) });
    expect(await attempt('192.0.2.2', succeed)).toBe('admitted');
  });

  test('counts an IPv6 subscriber as one', async () => {
    const attempt = attempts();
    const guesses = Array.from({ length: 20 }, (_, host) => attempt(`2001:db8::${host + 1}`, fail));
    expect(await codes(guesses)).toEqual({ invalid_ticket: 10, rate_limited: 10 });
  });

  test('an attempt that the store could not judge does not count', async () => {
    const attempt = attempts();
    await codes(times(50, () => attempt('192.0.2.1', outage)));
    expect(await attempt('192.0.2.1', succeed)).toBe('admitted');
  });

  test('waits no longer than its patience', async () => {
    const attempt = attempts({ limit: 1, patienceMs: 30 });
    const { promise: never, resolve } = Promise.withResolvers<void>();
    const stuck = attempt('192.0.2.1', () => never);
    await expect(attempt('192.0.2.1', succeed)).rejects.toMatchObject({ code: 'overloaded' });
    resolve();
    await stuck;
    expect(await attempt('192.0.2.1', succeed)).toBe('admitted');
  });

  test('counts every attempt where that is asked for', async () => {
    const attempt = attempts({ counting: 'all' });
    expect(await codes(times(12, () => attempt('192.0.2.1', succeed)))).toEqual({
      admitted: 10,
      rate_limited: 2,
    });
  });

  test('is off at zero', async () => {
    const attempt = attempts({ limit: 0 });
    expect(await codes(times(100, () => attempt('192.0.2.1', fail)))).toEqual({ invalid_ticket: 100 });
  });
});
