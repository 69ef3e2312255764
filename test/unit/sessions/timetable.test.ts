import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { timetable } from '../../../src/sessions/timetable.ts';

const start = Date.parse('2026-03-01T10:00:00Z');
beforeEach(() => {
  vi.useFakeTimers({ now: start });
});
afterEach(() => {
  vi.useRealTimers();
});

function noting() {
  const called: string[] = [];
  const { enter } = timetable(Date.now);
  return { called, enter: (at: number, name: string) => enter(at, () => called.push(name)) };
}

test('calls back at each moment, never early, many by one timer', async () => {
  const { called, enter } = noting();
  enter(start + 950, 'a');
  enter(start + 1000, 'b');
  enter(start + 1001, 'c');
  enter(start - 5000, 'past');
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(101);
  expect(called).toEqual(['past']);
  await vi.advanceTimersByTimeAsync(949 - 101);
  expect(called).toEqual(['past']);
  await vi.advanceTimersByTimeAsync(1000 - 949);
  expect(called).not.toContain('c');
  await vi.advanceTimersByTimeAsync(102);
  expect(called).toEqual(['past', 'a', 'b', 'c']);
  expect(vi.getTimerCount()).toBe(0);
});

test('is not early or late for a clock that is set meanwhile', async () => {
  const { called, enter } = noting();
  enter(start + 10_000, 'one');
  vi.setSystemTime(start + 3_600_000);
  enter(start + 3_600_000 + 5000, 'another');
  await vi.advanceTimersByTimeAsync(4999);
  expect(called).toEqual([]);
  await vi.advanceTimersByTimeAsync(102);
  expect(called).toEqual(['another']);
  await vi.advanceTimersByTimeAsync(4898);
  expect(called).toEqual(['another']);
  await vi.advanceTimersByTimeAsync(102);
  expect(called).toEqual(['another', 'one']);
});

test('what is entered by a callback has its turn, too', async () => {
  const { called, enter } = noting();
  const { enter: enterOwn } = timetable(Date.now);
  enterOwn(start + 300, () => enterOwn(start + 300, () => called.push('after')));
  enter(start + 10_000, 'later');
  await vi.advanceTimersByTimeAsync(500);
  expect(called).toEqual(['after']);
});

test('keeps nothing of a moment from which all have been struck off', async () => {
  const { called, enter } = noting();
  const strikes = Array.from({ length: 5000 }, (_, n) => enter(start + 8 * 3_600_000 + n * 100, 'gone'));
  const [one, another] = [enter(start + 500, 'one'), enter(start + 500, 'another')];
  for (const strike of strikes) strike();
  one();
  another();
  another();
  await vi.advanceTimersByTimeAsync(100);
  expect(vi.getTimerCount()).toBe(0);
  enter(start + 500, 'again');
  another();
  await vi.advanceTimersByTimeAsync(600);
  expect(called).toEqual(['again']);
});

test('goes on after a callback that throws, and is not put off by what is no moment', async () => {
  const { called, enter } = noting();
  const { enter: enterOwn } = timetable(Date.now);
  enterOwn(start + 300, () => {
    throw new Error('of a callback');
  });
  enterOwn(start + 900, () => called.push('after'));
  enterOwn(Number.NaN, () => called.push('no moment'));
  enter(start + 10_000, 'later');
  await expect(vi.advanceTimersByTimeAsync(500)).rejects.toThrow('of a callback');
  expect(called).toEqual(['no moment']);
  await vi.advanceTimersByTimeAsync(700);
  expect(called).toEqual(['no moment', 'after']);
});
