import { expect, test } from 'vitest';
import { fullestOf, shareOf } from '../../../src/store/redis-memory.ts';

const info = (used: number, max: number) => `# Memory\r\nused_memory:${used}\r\nmaxmemory:${max}\r\n`;

test('of several primaries, the one that is nearest to its limit tells how full Redis is', () => {
  expect(fullestOf([info(50, 100), info(90, 1000), info(60, 100)])).toEqual({ used: 60, max: 100 });
  expect(fullestOf([info(5, 100), info(900, 0)])).toEqual({ used: 5, max: 100 });
  expect(fullestOf([info(1, 0), info(2, 0)])).toEqual({ used: 2, max: 0 });
  expect(fullestOf([])).toBeUndefined();
});

test('what nothing limits is never full', () => {
  expect(shareOf({ used: 60, max: 100 })).toBe(0.6);
  expect(shareOf({ used: 2 ** 40, max: 0 })).toBe(0);
});
