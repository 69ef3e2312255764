import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { attemptsInLine } from '../../../src/store/attempts-in-line.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import type { Allowance, Redemption } from '../../../src/store/store.ts';
import { aRecord } from '../../support/records.ts';

function attempts(options: Partial<Allowance> & { patienceMs?: number } = {}) {
  const { patienceMs, ...allowance } = options;
  const inLine = attemptsInLine(memoryStore({ now: Date.now }), patienceMs);
  return (counter: string, redeem: () => Promise<Redemption>) =>
    inLine({ counter, limit: 10, windowMs: 60_000, counting: 'failed', ...allowance }, redeem);
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));
const admitted: Redemption = {
  outcome: 'redeemed',
  record: aRecord(),
  sessionId: 'one',
  ageMs: 1,
  at: 1,
};
const succeed = async () => {
  await tick();
  return admitted;
};
const fail = async (): Promise<Redemption> => {
  await tick();
  return { outcome: 'unknown' };
};
const outage = async () => {
  throw new BrokerError('store_unavailable');
};

async function outcomes(results: Promise<Redemption>[]): Promise<Record<string, number>> {
  const settled = await Promise.allSettled(results);
  const counted: Record<string, number> = {};
  for (const result of settled) {
    const outcome =
      result.status === 'fulfilled' ? result.value.outcome : (result.reason as BrokerError).code;
    counted[outcome] = (counted[outcome] ?? 0) + 1;
  }
  return counted;
}

const times = (count: number, make: () => Promise<Redemption>) => Array.from({ length: count }, make);

describe('attempts in line', () => {
  test('a whole office can come back at once', async () => {
    const attempt = attempts();
    expect(await outcomes(times(500, () => attempt('192.0.2.1', succeed)))).toEqual({ redeemed: 500 });
  });

  test('a thousand guesses at once get no more answers than a thousand in a row', async () => {
    const attempt = attempts();
    const counted = await outcomes(times(1000, () => attempt('192.0.2.1', fail)));
    expect(counted).toEqual({ unknown: 10, limited: 990 });
  });

  test('over the limit, even a good ticket waits, and is told how long', async () => {
    const attempt = attempts();
    await outcomes(times(10, () => attempt('192.0.2.1', fail)));
    const refused = await attempt('192.0.2.1', succeed);
    expect(refused).toEqual({ outcome: 'limited', resetMs: expect.closeTo(60_000, -4) });
    expect(await attempt('192.0.2.2', succeed)).toBe(admitted);
  });

  test('an attempt that the store could not judge does not count', async () => {
    const attempt = attempts();
    await outcomes(times(50, () => attempt('192.0.2.1', outage)));
    expect(await attempt('192.0.2.1', succeed)).toBe(admitted);
  });

  test('waits no longer than its patience', async () => {
    const attempt = attempts({ limit: 1, patienceMs: 30 });
    const { promise: never, resolve } = Promise.withResolvers<Redemption>();
    const stuck = attempt('192.0.2.1', () => never);
    await expect(attempt('192.0.2.1', succeed)).rejects.toMatchObject({ code: 'overloaded' });
    resolve(admitted);
    await stuck;
    expect(await attempt('192.0.2.1', succeed)).toBe(admitted);
  });

  test('counts every attempt where that is asked for', async () => {
    const attempt = attempts({ counting: 'all' });
    expect(await outcomes(times(12, () => attempt('192.0.2.1', succeed)))).toEqual({
      redeemed: 10,
      limited: 2,
    });
  });
});
