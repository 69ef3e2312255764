import { randomBytes } from 'node:crypto';
import type { Claim, TicketRecord } from '../../src/tickets/record.ts';
import { newSessionId, newTicket, ticketId } from '../../src/tickets/ticket.ts';

export function aRecord(fields: Partial<TicketRecord> = {}): TicketRecord {
  return { sub: 'alice', username: 'Alice', auth_time: 1_700_000_000.123, session_ttl: 3600, ...fields };
}

export function aTicketId(): string {
  return ticketId(newTicket(randomBytes));
}

export function aClaim(fields: Partial<Claim> = {}): Claim {
  return { sessionId: newSessionId(randomBytes), ...fields };
}
