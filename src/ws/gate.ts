import type { IncomingHttpHeaders } from 'node:http';
import { BrokerError } from '../errors.ts';
import { checkOrigin } from '../origin.ts';
import type { Refresh } from '../sessions/live-sockets.ts';
import type { Session } from '../sessions/session.ts';
import type { Present } from '../tickets/present.ts';
import { isTicket } from '../tickets/ticket.ts';
import { readHandshake } from './handshake.ts';

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

export interface GateOptions {
  present: Present;
  allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** The service that stands behind this gate. */
  audience: string | undefined;
}

export interface Gate {
  /**
   * Decides on an upgrade request, and spends its ticket when everything holds.
   *
   * The order matters: what costs nothing comes first, and what could tell somebody something about a ticket comes after
   * the limit on attempts.
   *
   * @throws BrokerError whatever `readHandshake`, `checkOrigin` and `Present` refuse with
   */
  admit(knock: Knock): Promise<Session>;
  /** Spends a ticket that arrived on a socket which is open already. @throws BrokerError as `admit` does */
  refresh: Refresh;
}

export function createGate({ present, allowedOrigins, audience: aud }: GateOptions): Gate {
  return {
    async admit({ headers, tickets, rooms, address, host }) {
      const { tickets: carried, origin, room } = readHandshake(headers, tickets, rooms);
      checkOrigin(origin, host, allowedOrigins);
      return present(theOne(carried), { address, origin, room, aud });
    },
    async refresh(ticket, { ip, origin }) {
      return present(theOne([ticket]), { address: ip, origin, aud });
    },
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
