import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { sessionRefresh } from '../../../src/client/session-refresh.ts';
import { TicketError } from '../../../src/client/ticket-error.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** One that keeps when it asked for a ticket, in milliseconds from the start. */
function refresher(answer: () => { ticket: string } = () => ({ ticket: 'wst_x' })) {
  const started = Date.now();
  const asked: number[] = [];
  const sent: string[] = [];
  const refresh = sessionRefresh({
    nextTicket: async () => {
      asked.push(Date.now() - started);
      return answer();
    },
    send: (message) => sent.push(message) > 0,
  });
  return { ...refresh, asked, sent };
}

const gaps = (times: readonly number[]) => times.slice(1).map((time, n) => time - (times[n] ?? 0));

test('asks at a random moment of the first half, at most half a minute from now', async () => {
  const { begin, asked } = refresher();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  begin(60_000);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(asked).toEqual([15_000]);
});

test('unanswered, asks again until it is too late, ever sooner', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const { begin, asked, sent } = refresher();
  begin(60_000);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(asked).toEqual([0, 15_000, 26_250, 36_250, 46_250, 56_250]);
  expect(sent).toHaveLength(6);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, 0, -1000])('an end in %s ms is none', async (leftMs) => {
  const { begin, asked } = refresher();
  begin(leftMs);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toEqual([]);
});

test.each([1000, 2000, 10_000, 60_000, 1e12, 1e300])(
  'asks at most once in ten seconds, told again and again that the end is in %s ms',
  async (leftMs) => {
    const { begin, stop, asked } = refresher();
    for (let n = 0; n < 1200; n++) {
      begin(leftMs);
      await vi.advanceTimersByTimeAsync(100);
    }
    // Nor after a refresh, or on the next connection.
    stop();
    begin(60_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked.length).toBeGreaterThan(1);
    expect(Math.min(...gaps(asked))).toBeGreaterThanOrEqual(10_000);
  },
);

test('an end that is years away makes it ask once in a day, not without end', async () => {
  const { begin, asked } = refresher();
  begin(1e12);
  await vi.advanceTimersByTimeAsync(24 * 3600_000);
  expect(asked).toHaveLength(1);
});

test('waits as long as it is told to where there is no ticket, and asks no more where there will be none', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const errors = [new TicketError(503, 'store_unavailable', 20_000), new TicketError(401, 'invalid_token')];
  const { begin, asked } = refresher(() => {
    throw errors.shift();
  });
  begin(60_000);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toEqual([0, 20_000]);
});
