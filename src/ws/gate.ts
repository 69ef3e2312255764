import type { IncomingHttpHeaders } from 'node:http';
import { acceptableForms, type BindIp, countedAs } from '../address.ts';
import { BrokerError } from '../errors.ts';
import { checkOrigin } from '../origin.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Refresh } from '../sessions/live-sockets.ts';
import type { Session } from '../sessions/session.ts';
import type { Allowance } from '../store/store.ts';
import { type RedeemDeps, redeem } from '../tickets/redeem.ts';
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

export interface GateOptions extends RedeemDeps {
  /** What an address may get wrong; undefined: as much as it likes. */
  attempts: Omit<Allowance, 'counter'> | undefined;
  allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** The service that stands behind this gate. */
  audience: string | undefined;
  bindIp: BindIp;
  feed: Pick<Feed, 'current' | 'find'>;
  /** Told the session that a used ticket opened, when the ticket comes back (RFC 6749 4.1.2). */
  onReplay: (sessionId: string) => Promise<void>;
}

export interface Gate {
  /**
   * Decides on an upgrade request, and spends its ticket when everything holds.
   *
   * The order matters: what costs nothing comes first, and what could tell somebody something about a ticket comes after
   * the limit on attempts.
   *
   * @throws BrokerError whatever `readHandshake`, `checkOrigin` and `redeem` refuse with
   */
  admit(knock: Knock): Promise<Session>;
  /** Spends a ticket that arrived on a socket which is open already. @throws BrokerError as `admit` does */
  refresh: Refresh;
}

export function createGate(options: GateOptions): Gate {
  const { attempts, allowedOrigins, audience, bindIp, feed, onReplay } = options;

  const spend = async (ticket: string, address: string, origin: string | undefined, room?: string) => {
    // Whoever has not heard of the latest revocations lets nobody in, and spends nobody's ticket.
    if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
    const addresses = acceptableForms(address, bindIp);
    const claim = {
      ...(audience && { aud: audience }),
      ...(origin && { origin }),
      ...(addresses && { addresses }),
      ...(room && { room }),
    };
    const allowance = attempts && { ...attempts, counter: `attempts:${countedAs(address)}` };
    const session = await redeem(options, ticket, claim, allowance).catch(async (error: unknown) => {
      if (error instanceof BrokerError && error.reason === 'replayed')
        await onReplay(String(error.facts['session_id']));
      throw error;
    });
    const { session_id, ticket_id, record } = session;
    const { sub, auth_time } = record;
    if (feed.find({ sub, auth_time, session_id, ticket_id })) {
      throw new BrokerError('invalid_ticket', { reason: 'revoked', facts: { sub, ticket_id } });
    }
    return session;
  };

  return {
    async admit({ headers, tickets, rooms, address, host }) {
      const handshake = readHandshake(headers, tickets, rooms);
      checkOrigin(handshake.origin, host, allowedOrigins);
      return spend(theOne(handshake.tickets), address, handshake.origin, handshake.room);
    },
    async refresh(ticket, { ip, origin }) {
      return spend(theOne([ticket]), ip, origin);
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
