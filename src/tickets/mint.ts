import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Store } from '../store/store.ts';
import type { TicketRecord } from './record.ts';
import { newTicket, ticketId } from './ticket.ts';

export interface Minted {
  ticket: string;
  ticket_id: string;
  /** Milliseconds. */
  ttlMs: number;
}

export interface MintDeps {
  store: Store;
  randomBytes: RandomBytes;
}

const tries = 3;

/**
 * Writes a new ticket into the store and returns it; this is the only moment at which it exists outside of its holder.
 * Its life never exceeds the session that it could open.
 *
 * @param ttl seconds
 * @throws BrokerError `store_unavailable`: nothing that was given out can be redeemed
 */
export async function mint(
  { store, randomBytes }: MintDeps,
  record: TicketRecord,
  ttl: number,
): Promise<Minted> {
  const ttlMs = Math.floor(Math.min(ttl, record.session_ttl) * 1000);
  let ticket = newTicket(randomBytes);
  for (let attempt = 1; attempt <= tries; attempt++) {
    const id = ticketId(ticket);
    if ((await store.put(id, record, ttlMs)) === 'stored') return { ticket, ticket_id: id, ttlMs };
    ticket = newTicketLike(id, randomBytes);
  }
  throw new BrokerError('store_unavailable', { reason: 'store: tenure kept changing' });
}

/**
 * A ticket whose id begins as `id` does. In Cluster that character chooses the primary, and a refused `put` has just
 * taught the store that primary's tenure; any other nonce would start cold again (1 in 64 fits: microseconds).
 */
function newTicketLike(id: string, randomBytes: RandomBytes): string {
  let ticket: string;
  do ticket = newTicket(randomBytes);
  while (ticketId(ticket).charAt(0) !== id.charAt(0));
  return ticket;
}
