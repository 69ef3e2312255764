import type { IncomingHttpHeaders } from 'node:http';
import { acceptableForms, type BindIp } from '../address.ts';
import { BrokerError } from '../errors.ts';
import type { Session } from '../sessions/session.ts';
import type { Attempt } from '../tickets/attempts.ts';
import { type RedeemDeps, redeem } from '../tickets/redeem.ts';
import { isTicket } from '../tickets/ticket.ts';
import { readHandshake } from './handshake.ts';
import { checkOrigin } from './origin.ts';

/** An upgrade request, as any server can describe it. */
export interface Knock {
  headers: IncomingHttpHeaders;
  /** The values of `?ticket=` and `?room=`. */
  tickets: readonly string[];
  rooms: readonly string[];
  /** The client's address, in its canonical spelling. */
  address: string;
  /** The host that the client asked for. */
  host: string;
}

export interface GateOptions extends RedeemDeps {
  attempt: Attempt;
  allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** The service that stands behind this gate. */
  audience: string | undefined;
  bindIp: BindIp;
}

/**
 * Decides on an upgrade request, and spends its ticket when everything holds.
 *
 * The order matters: what costs nothing comes first, and what could tell somebody something about a ticket comes after
 * the limit on attempts.
 *
 * @throws BrokerError whatever `readHandshake`, `checkOrigin`, `Attempt` and `redeem` refuse with
 */
export type Gate = (knock: Knock) => Promise<Session>;

export function createGate(options: GateOptions): Gate {
  const { attempt, allowedOrigins, audience, bindIp } = options;
  return async ({ headers, tickets, rooms, address, host }) => {
    const handshake = readHandshake(headers, tickets, rooms);
    checkOrigin(handshake.origin, host, allowedOrigins);
    const ticket = theOne(handshake.tickets);
    const addresses = acceptableForms(address, bindIp);
    return attempt(address, () =>
      redeem(options, ticket, {
        ...(audience && { aud: audience }),
        ...(handshake.origin && { origin: handshake.origin }),
        ...(addresses && { addresses }),
        ...(handshake.room && { room: handshake.room }),
      }),
    );
  };
}

function theOne(tickets: readonly string[]): string {
  const [ticket, another] = tickets;
  if (another !== undefined) {
    throw new BrokerError('invalid_request', {
      description: 'More than one ticket.',
      reason: 'several_tickets',
    });
  }
  if (ticket === undefined) throw new BrokerError('invalid_ticket', { reason: 'no_ticket' });
  if (!isTicket(ticket)) throw new BrokerError('invalid_ticket', { reason: 'malformed' });
  return ticket;
}
