import type { IncomingHttpHeaders } from 'node:http';
import { about, BrokerError } from '../errors.ts';
import { checkOrigin } from '../origin.ts';
import type { Peer } from '../sessions/live-sessions.ts';
import type { Present } from '../tickets/present.ts';
import type { Session } from '../tickets/session.ts';
import { soleTicket } from '../tickets/sole-ticket.ts';
import { readHandshake } from './handshake.ts';
import type { TokenSession } from './token-sessions.ts';

/** An upgrade request, as any server can describe it. */
export interface Knock {
  headers: IncomingHttpHeaders;
  /** The values of `?ticket=`, `?token=` and `?room=`. */
  tickets: readonly string[];
  tokens?: readonly string[];
  rooms: readonly string[];
  /** The client's address, in its canonical spelling. */
  address: string;
  /** The host that the client asked for. */
  host: string;
}

/** How a client may show who it is: by ticket, by token in a header or in the query, or by ticket in its first message. */
export type Transport = 'ticket' | 'bearer' | 'token' | 'message';

export interface GateOptions {
  present: Present;
  /** Absent: no token is taken, whatever `accept` says. */
  tokenSession?: TokenSession;
  accept: ReadonlySet<Transport>;
  allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** The service that stands behind this gate. */
  audience: string | undefined;
}

export interface Gate {
  /**
   * Decides on an upgrade request, and spends its ticket when everything holds. Undefined: open, and wait for a ticket.
   *
   * The order matters: what costs nothing comes first, and what could tell somebody something about a ticket comes after
   * the limit on attempts.
   *
   * @throws BrokerError whatever `readHandshake`, `checkOrigin`, `Present` and `TokenSession` refuse with
   */
  admit(knock: Knock): Promise<Opened | undefined>;
  /** Spends a ticket that arrived on a socket which is open already. @throws BrokerError as `admit` does */
  redeem(ticket: string, peer: Peer): Promise<Session>;
  /** The service that stands behind it. */
  readonly audience: string | undefined;
}

export interface Opened {
  session: Session;
  /** `ws` for a ticket. */
  via: 'ws' | 'bearer' | 'token';
}

export function createGate(options: GateOptions): Gate {
  const { present, tokenSession, accept, allowedOrigins, audience: aud } = options;
  return {
    async admit({ headers, tickets, tokens = [], rooms, address, host }) {
      const { tickets: carried, origin, room } = readHandshake(headers, tickets, rooms);
      checkOrigin(origin, host, allowedOrigins);
      if (accept.has('ticket') && carried.length > 0) {
        return {
          session: await present(soleTicket(carried, 'invalid_request'), { address, origin, room, aud }),
          via: 'ws',
        };
      }
      const from = { address, room };
      const bearer =
        tokenSession && accept.has('bearer') && /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
      if (bearer) return opened('bearer', tokenSession(bearer, from));
      if (tokenSession && accept.has('token') && tokens.length > 0) {
        return opened('token', tokenSession(soleToken(tokens), from));
      }
      if (accept.has('message')) return undefined;
      throw new BrokerError('invalid_ticket', { reason: 'no_ticket' });
    },
    async redeem(ticket, { ip, origin, room }) {
      return present(soleTicket([ticket], 'invalid_request'), { address: ip, origin, room, aud });
    },
    audience: aud,
  };
}

/** Who is refused came the same way. */
async function opened(via: Opened['via'], session: Promise<Session>): Promise<Opened> {
  try {
    return { session: await session, via };
  } catch (error) {
    throw about(error, { via });
  }
}

function soleToken([token, another]: readonly string[]): string {
  if (token !== undefined && another === undefined) return token;
  throw new BrokerError('invalid_request', { description: 'More than one token.', reason: 'several_tokens' });
}
