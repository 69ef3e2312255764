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
  expect(vi.getTimerCount()).toBe(2);
  await vi.advanceTimersByTimeAsync(999);
  expect(called).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(called).toEqual(['a', 'b']);
  await vi.advanceTimersByTimeAsync(100);
  expect(called).toEqual(['a', 'b', 'c']);
});

test('keeps nothing of a moment from which all have been struck off', async () => {
  const { called, enter } = noting();
  const strikes = Array.from({ length: 5000 }, (_, n) => enter(start + 8 * 3_600_000 + n * 100, 'gone'));
  const [one, another] = [enter(start + 500, 'one'), enter(start + 500, 'another')];
  for (const strike of strikes) strike();
  one();
  expect(vi.getTimerCount()).toBe(1);
  another();
  another();
  expect(vi.getTimerCount()).toBe(0);
  enter(start + 500, 'again');
  another();
  await vi.advanceTimersByTimeAsync(500);
  expect(called).toEqual(['again']);
});
