import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { loopLoad } from '../../../src/store/loop-load.ts';

/** Keeps the event loop from everything else. */
function work(ms: number): void {
  for (const from = performance.now(); performance.now() - from < ms; );
}

test('a loop is short of time while it works, and no longer once it mostly waits', async () => {
  const isShort = loopLoad();
  expect(isShort()).toBe(false);
  work(100);
  expect(isShort()).toBe(true);
  await sleep(500);
  expect(isShort()).toBe(false);
});

test('one that has become less busy by waiting goes on until half of its time is idle', async () => {
  const isShort = loopLoad();
  work(200);
  await sleep(50);
  expect(isShort()).toBe(false);
  work(100);
  expect(isShort()).toBe(true);
  work(200);
  await sleep(50);
  expect(isShort()).toBe(true);
});
