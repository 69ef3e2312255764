import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TicketError } from '../../../src/client/ticket-error.ts';
import { ticketSource } from '../../../src/client/ticket-source.ts';

const { signal } = new AbortController();

/** Answers when it is told to, and counts how many wait. */
function turnstile() {
  const waiting: (() => void)[] = [];
  let most = 0;
  let count = 0;
  return {
    most: () => most,
    waiting: () => waiting.length,
    letOne: () => waiting.shift()?.(),
    async getTicket() {
      const ticket = `ticket-${++count}`;
      await new Promise<void>((resolve) => {
        most = Math.max(most, waiting.push(resolve));
      });
      return { ticket };
    },
  };
}

test('asks for one ticket at a time, and each is another', async () => {
  const { getTicket, letOne, waiting, most } = turnstile();
  const next = ticketSource({ getTicket });
  const all = Promise.all([1, 2, 3].map(() => next('connect', signal)));
  for (const _ of [1, 2, 3]) {
    await vi.waitUntil(() => waiting() > 0, 5000);
    letOne();
  }
  expect(await all).toEqual([{ ticket: 'ticket-1' }, { ticket: 'ticket-2' }, { ticket: 'ticket-3' }]);
  expect(most()).toBe(1);
});

test('one that fails or is given up does not hold up the next', async () => {
  const { getTicket, letOne, waiting } = turnstile();
  const next = ticketSource({ getTicket });
  const controller = new AbortController();
  const givenUp = expect(next('expiring', controller.signal)).rejects.toThrow('gone');
  const after = next('connect', signal);
  await vi.waitUntil(() => waiting() === 1, 5000);
  controller.abort(new Error('gone'));
  await givenUp;
  await vi.waitUntil(() => waiting() === 2, 5000);
  letOne();
  letOne();
  expect(await after).toEqual({ ticket: 'ticket-2' });
});

test('does not hand out the same ticket again', async () => {
  const next = ticketSource({ getTicket: () => ({ ticket: 'always the same' }) });
  await next('connect', signal);
  await expect(next('connect', signal)).rejects.toMatchObject({ code: 'spent_ticket', final: false });
});

test.each([
  ['throws', () => Promise.reject(new Error('Bearer secret-token'))],
  ['throws at once', () => JSON.parse('wst_secret')],
  ['rejects with nothing', () => Promise.reject()],
])('an app that %s is asked again later, and what it says is not repeated', async (_what, token) => {
  const next = ticketSource({ token, ticketUrl: 'http://127.0.0.1:1/tickets' });
  const error: TicketError = await next('connect', signal).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'callback_failed', final: false });
  expect(String(error.stack)).not.toContain('secret');
});

test.each([null, undefined, ''])('a token of %j ends it, and asks nobody', async (nothing) => {
  const next = ticketSource({ token: () => nothing, ticketUrl: 'http://127.0.0.1:1/tickets' });
  await expect(next('connect', signal)).rejects.toMatchObject({ code: 'no_token', unauthorized: true });
});

test('a token that no header can hold is not repeated', async () => {
  const next = ticketSource({ token: 'secret\ntoken', ticketUrl: 'http://127.0.0.1:1/tickets' });
  const error: TicketError = await next('connect', signal).catch((reason) => reason);
  expect(error.code).toBe('network');
  expect(`${error.message} ${error.stack} ${error.cause}`).not.toContain('secret');
});

describe('an app that never answers', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  test('is waited for, but not for ever', async () => {
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), ms);
      return controller.signal;
    });
    const next = ticketSource({ getTicket: () => new Promise(() => {}) });
    const refused = expect(next('connect', signal)).rejects.toMatchObject({ code: 'timeout', final: false });
    await vi.advanceTimersByTimeAsync(15_000);
    await refused;
  });
});
