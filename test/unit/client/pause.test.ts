import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPause } from '../../../src/client/pause.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Milliseconds until a wait is over, to ten. */
async function lengthOf(wait: Promise<void>): Promise<number> {
  let over = false;
  void wait.then(() => {
    over = true;
  });
  const started = Date.now();
  while (!over && Date.now() - started < 100_000) await vi.advanceTimersByTimeAsync(10);
  return Date.now() - started;
}

const { signal } = new AbortController();

test('waits as long as it is told', async () => {
  expect(await lengthOf(createPause().wait(5000, 0, signal))).toBe(5000);
});

test('is cut short', async () => {
  const pause = createPause();
  const wait = pause.wait(30_000, 0, signal);
  pause.cutTo(200);
  expect(await lengthOf(wait)).toBe(200);
});

test('is not cut shorter than it must be', async () => {
  const pause = createPause();
  const wait = pause.wait(30_000, 10_000, signal);
  await vi.advanceTimersByTimeAsync(4000);
  pause.cutTo(200);
  expect(await lengthOf(wait)).toBe(6000);
});

test('is not made longer by being cut', async () => {
  const pause = createPause();
  const wait = pause.wait(300, 0, signal);
  pause.cutTo(5000);
  expect(await lengthOf(wait)).toBe(300);
});

test('ends with its signal, before or in the middle', async () => {
  const pause = createPause();
  const controller = new AbortController();
  const wait = expect(pause.wait(30_000, 30_000, controller.signal)).rejects.toThrow('enough');
  controller.abort(new Error('enough'));
  await wait;
  await expect(pause.wait(30_000, 0, controller.signal)).rejects.toThrow('enough');
  expect(vi.getTimerCount()).toBe(0);
});

test('is released at once, whatever it must be', async () => {
  const pause = createPause();
  const wait = pause.wait(30_000, 30_000, signal);
  pause.release();
  await wait;
  expect(vi.getTimerCount()).toBe(0);
});
