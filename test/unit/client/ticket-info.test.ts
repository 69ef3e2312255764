import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { getTicketInfo } from '../../../src/client/ticket-info.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test.each([
  [30, 0, { expiresIn: 30, isValid: true, shouldRenew: false }],
  [30, 23, { expiresIn: 7, isValid: true, shouldRenew: false }],
  [30, 25, { expiresIn: 5, isValid: true, shouldRenew: true }],
  [30, 30, { expiresIn: 0, isValid: false, shouldRenew: true }],
  [30, 90, { expiresIn: 0, isValid: false, shouldRenew: true }],
  // The threshold goes with the ticket's life: three hundred seconds would renew every one of these.
  [300, 200, { expiresIn: 100, isValid: true, shouldRenew: false }],
  [300, 250, { expiresIn: 50, isValid: true, shouldRenew: true }],
])('a ticket of %i s after %i s', (expires_in, gone, info) => {
  const ticket = { expires_in, expires_at: Date.now() + expires_in * 1000 };
  vi.advanceTimersByTime(gone * 1000);
  expect(getTicketInfo(ticket)).toEqual(info);
});
