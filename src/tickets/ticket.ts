import { hash } from 'node:crypto';
import type { RandomBytes } from '../random.ts';

const form = /^wst_[A-Za-z0-9_-]{43}$/;

/** A new ticket: `wst_` and 256 random bits in base64url, 47 characters. */
export function newTicket(randomBytes: RandomBytes): string {
  return `wst_${randomBytes(32).toString('base64url')}`;
}

export function isTicket(value: string): boolean {
  return form.test(value);
}

/** What may be stored, logged and shown of a ticket: the first 132 bits of its SHA-256, 22 base64url characters. */
export function ticketId(ticket: string): string {
  return hash('sha256', ticket, 'base64url').slice(0, 22);
}

/** A session's name. Not a secret: 128 random bits, so that two nodes never choose the same. */
export function newSessionId(randomBytes: RandomBytes): string {
  return randomBytes(16).toString('base64url');
}
