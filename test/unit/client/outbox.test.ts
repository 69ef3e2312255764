import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createOutbox } from '../../../src/client/outbox.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** An outbox with as many messages in it, and a connection, which keeps what it is handed until it breaks. */
function filled(length: number) {
  const outbox = createOutbox(99);
  const messages = Array.from({ length }, (_, n) => `${n}`);
  for (const message of messages) outbox.put(message);
  const connection = { open: true, taken: [] as string[] };
  const take = (message: string) => connection.open && connection.taken.push(message) > 0;
  return { outbox, messages, connection, take };
}

test('takes as many as it may hold, and says so when it takes no more', () => {
  const outbox = createOutbox(2);
  expect(['a', 'b', 'c'].map(outbox.put)).toEqual([true, true, false]);
  expect(outbox.empty()).toEqual(['a', 'b']);
  expect(outbox.put('d')).toBe(true);
});

test('hands over in order, and keeps what is not taken', () => {
  const { outbox, messages, take } = filled(4);
  const taken: string[] = [];
  outbox.flush((message) => message !== '2' && taken.push(message) > 0);
  expect(taken).toEqual(['0', '1']);
  expect(outbox.flushing).toBe(false);
  outbox.flush((message) => take(message) && taken.push(message) > 0);
  expect(taken).toEqual(messages);
  expect(outbox.empty()).toEqual([]);
});

test('hands over ten at once and then one every 75 ms, those that came meanwhile last', () => {
  const { outbox, messages, connection, take } = filled(12);
  outbox.flush(take);
  expect(connection.taken).toEqual(messages.slice(0, 10));
  vi.advanceTimersByTime(74);
  expect(connection.taken).toHaveLength(10);
  outbox.put('late');
  vi.advanceTimersByTime(1);
  expect(connection.taken).toHaveLength(11);
  vi.advanceTimersByTime(75);
  expect(connection.taken).toHaveLength(12);
  expect(outbox.flushing).toBe(true);
  vi.advanceTimersByTime(75);
  expect(connection.taken).toEqual([...messages, 'late']);
  expect(outbox.flushing).toBe(false);
});

test.each([
  [5, 2, 300],
  [1, 1, 1500],
  [1000, 10, 75],
  [Number.NaN, 10, 75],
])(
  'where the server takes %d a second, hands over %d at once and then one every %d ms',
  (limit, most, ms) => {
    const { outbox, messages, connection, take } = filled(20);
    outbox.flush(take, limit);
    expect(connection.taken).toEqual(messages.slice(0, most));
    vi.advanceTimersByTime(10 * ms);
    expect(connection.taken).toEqual(messages.slice(0, most + 10));
  },
);

test('keeps the rest of what is not taken half-way, and hands it over the next time', () => {
  const { outbox, messages, connection, take } = filled(30);
  outbox.flush(take);
  connection.open = false;
  vi.advanceTimersByTime(75);
  expect(outbox.flushing).toBe(false);
  connection.open = true;
  vi.advanceTimersByTime(1000);
  expect(connection.taken).toHaveLength(10);
  outbox.flush(take);
  expect(connection.taken).toEqual(messages.slice(0, 20));
});

test.each(['hold', 'empty'] as const)('%s ends the flush', (end) => {
  const { outbox, connection, take } = filled(12);
  outbox.flush(take);
  outbox[end]();
  expect(outbox.flushing).toBe(false);
  vi.advanceTimersByTime(1000);
  expect(connection.taken).toHaveLength(10);
});

test('catches up when its timers come late, ten at once at most', () => {
  const { outbox, messages, connection, take } = filled(40);
  outbox.flush(take);
  const late = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 300);
  vi.advanceTimersToNextTimer();
  expect(connection.taken).toEqual(messages.slice(0, 14));
  late.mockReturnValue(performance.now() + 60_000);
  vi.advanceTimersToNextTimer();
  expect(connection.taken).toEqual(messages.slice(0, 24));
  late.mockRestore();
});
