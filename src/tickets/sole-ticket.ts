import { BrokerError, type RefusalCode } from '../errors.ts';
import { isTicket } from './ticket.ts';

/**
 * The ticket, where exactly one was shown and looks like one: nobody guesses which of several was meant.
 *
 * @param several what to refuse several with
 * @throws BrokerError `invalid_ticket`, or `several`
 */
export function soleTicket(tickets: readonly string[], several: RefusalCode): string {
  const [ticket, another] = tickets;
  if (another !== undefined) {
    throw new BrokerError(several, { description: 'More than one ticket.', reason: 'several_tickets' });
  }
  if (ticket === undefined) throw new BrokerError('invalid_ticket', { reason: 'no_ticket' });
  if (!isTicket(ticket)) throw new BrokerError('invalid_ticket', { reason: 'malformed' });
  return ticket;
}
