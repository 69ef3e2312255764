import { about, BrokerError, type RefusalCode } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Allowance, Redemption, Store } from '../store/store.ts';
import type { Claim } from './record.ts';
import type { TicketSession } from './session.ts';
import { isTicket, newSessionId, ticketId } from './ticket.ts';

export interface RedeemDeps {
  store: Store;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomBytes: RandomBytes;
  /** Seconds a session may last here, whatever its ticket says. */
  sessionTtl: number;
}

/**
 * Spends a ticket and opens the session that it stands for. A refusal tells the caller no more than it must; the error's
 * `reason` and `facts` tell the log what really happened.
 *
 * @throws BrokerError `invalid_ticket`, `binding_mismatch`, `room_forbidden`, `rate_limited` (the last three leave it unspent),
 *   `store_unavailable` (it may be spent)
 */
export async function redeem(
  { store, now, randomBytes, sessionTtl }: RedeemDeps,
  ticket: string,
  claim: Omit<Claim, 'sessionId'>,
  allowance?: Allowance,
): Promise<TicketSession> {
  if (!isTicket(ticket)) throw new BrokerError('invalid_ticket', { reason: 'malformed' });
  const id = ticketId(ticket);
  const asked = { ...claim, sessionId: newSessionId(randomBytes) };
  const redemption = await store.redeem(id, asked, allowance).catch((error: unknown) => {
    throw about(error, { ticket_id: id });
  });
  if (redemption.outcome !== 'redeemed') throw refused(id, redemption);

  const { record, sessionId, ageMs, at } = redemption;
  const leftMs = Math.min(sessionTtl * 1000, record.session_ttl * 1000 - ageMs);
  return {
    session_id: sessionId,
    ticket_id: id,
    record,
    deadline: now() + leftMs,
    exp: Math.floor((at + leftMs) / 1000),
  };
}

function refused(ticket_id: string, redemption: Exclude<Redemption, { outcome: 'redeemed' }>): BrokerError {
  switch (redemption.outcome) {
    case 'used':
      return refusal('invalid_ticket', 'replayed', { ticket_id, session_id: redemption.sessionId });
    case 'misfit':
      return redemption.misfit === 'room'
        ? refusal('room_forbidden', 'room_forbidden', { ticket_id })
        : refusal('binding_mismatch', `${redemption.misfit}_mismatch`, { ticket_id });
    case 'limited':
      return attemptsUsedUp(redemption.resetMs, { ticket_id });
    default:
      return refusal('invalid_ticket', redemption.outcome, { ticket_id });
  }
}

/** @param resetMs milliseconds until the address may try again */
export function attemptsUsedUp(resetMs: number, facts: Record<string, string> = {}): BrokerError {
  const retryAfter = Math.ceil(resetMs / 1000) || 1;
  return new BrokerError('rate_limited', { reason: 'attempt_limit', retryAfter, facts });
}

function refusal(code: RefusalCode, reason: string, facts: Record<string, string>): BrokerError {
  return new BrokerError(code, { reason, facts });
}
