import { expect, test } from 'vitest';
import { fullJitter } from '../../../src/client/backoff.ts';

const backoff = { baseMs: 1000, capMs: 30_000 };
const draws = (failures: number) => Array.from({ length: 10_000 }, () => fullJitter(failures, backoff));

test.each([
  [1, 1000],
  [2, 2000],
  [4, 8000],
  [6, 30_000],
  [5000, 30_000],
])('after %i failures it waits up to %i ms, any part of it as often as another', (failures, widest) => {
  const tenths = new Array(10).fill(0);
  for (const ms of draws(failures)) {
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(ms).toBeLessThan(widest);
    tenths[Math.floor((ms / widest) * 10)]++;
  }
  // 1000 each, give or take 30: seven times that does not happen.
  for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(210);
});
