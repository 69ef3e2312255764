import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { loopLoad } from '../../../src/store/loop-load.ts';

/** Keeps the event loop from everything else. */
function work(ms: number): void {
  for (const from = performance.now(); performance.now() - from < ms; );
}

/** Works for four fifths of the time: on a machine that holds both up, until it comes out at that. */
async function workMostly(): Promise<void> {
  const begun = performance.eventLoopUtilization();
  const share = () => performance.eventLoopUtilization(begun).utilization;
  do {
    const from = performance.now();
    await sleep(50);
    work(4 * (performance.now() - from));
  } while (share() < 0.7 || share() > 0.85);
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
  await workMostly();
  expect(isShort()).toBe(false);
  work(100);
  expect(isShort()).toBe(true);
  await workMostly();
  expect(isShort()).toBe(true);
});
