import type { Ticket } from './ticket-request.ts';

/** The part of a ticket's life that has to be left for it to be worth presenting. */
const renewalThreshold = 0.2;

export interface TicketInfo {
  /** Whole seconds left; 0: it has run out. */
  expiresIn: number;
  isValid: boolean;
  /** Less than a fifth of its life is left: get another one. */
  shouldRenew: boolean;
}

/** How an unspent ticket stands, by the clock of this machine. */
export function getTicketInfo({
  expires_in,
  expires_at,
}: Pick<Ticket, 'expires_in' | 'expires_at'>): TicketInfo {
  const left = Math.max(0, (expires_at - Date.now()) / 1000);
  return {
    expiresIn: Math.floor(left),
    isValid: left > 0,
    shouldRenew: left < expires_in * renewalThreshold,
  };
}
