import { expect, test } from 'vitest';
import { retryAfterMs } from '../../../src/client/retry-after.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const day = 24 * 3600 * 1000;

test.each([
  ['1', 1000],
  ['120', 120_000],
  ['0', 0],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
  // What no timer can wait for.
  ['99999999999', day],
  ['Fri, 01 Jan 2038 00:00:00 GMT', day],
  ['soon', undefined],
  ['', undefined],
  [null, undefined],
])('%j is %j', (header, ms) => {
  expect(retryAfterMs(header, now)).toBe(ms);
});
