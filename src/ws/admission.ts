import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { BindIp } from '../address.ts';
import { type Decide, type Facts, tellSession, tellWhereabouts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import type { Peer } from '../sessions/live-sessions.ts';
import type { Session } from '../tickets/session.ts';
import { carriedSecrets, withoutSecrets } from '../wire/carried-secrets.ts';
import type { Visitor } from '../wire/forwarded.ts';
import type { NoTicket } from './first-message.ts';
import type { Gate } from './gate.ts';

export interface AdmissionOptions {
  decide: Decide;
  log: Pick<Logger, 'info'>;
  gate: Gate;
  visitor: (request: IncomingMessage) => Visitor;
  /** Connections held at once, from the handshake on; 0 = no limit. */
  maxConnections: number;
  bindIp: BindIp;
}

export interface Admitted {
  /** Undefined: the socket is opened, and shows its ticket then. */
  session: Session | undefined;
  peer: Peer;
}

export interface Admission {
  /** Asks the gate about an upgrade request, and records what it says. @throws BrokerError as the gate does, and `overloaded` */
  admit(request: IncomingMessage): Promise<Admitted>;
  /** The same for a ticket that a socket shows once it is open. @throws BrokerError as the gate does */
  admitLater(ticket: string, peer: Peer): Promise<Session>;
  /** Records that an open socket is refused because it has shown no ticket. */
  showedNone(peer: Peer, reason: NoTicket): Promise<void>;
}

export function admission(options: AdmissionOptions): Admission {
  const { decide, log, gate, visitor, maxConnections, bindIp } = options;
  let connections = 0;
  /** Of these, who have shown nothing yet: half of all at most, or they would keep out who brings a ticket along. */
  const unproven = new Set<Peer>();

  /** Held from the handshake until it is refused or its connection is gone. @returns what gives it back, once */
  const takeSlot = ({ socket }: IncomingMessage): (() => void) => {
    if (maxConnections > 0 && connections >= maxConnections) {
      throw new BrokerError('overloaded', { reason: 'max_connections' });
    }
    connections++;
    let held = true;
    const giveBack = () => {
      if (held) connections--;
      held = false;
    };
    socket.once('close', giveBack);
    return giveBack;
  };

  const wait = (peer: Peer, { socket }: IncomingMessage) => {
    if (maxConnections > 0 && unproven.size >= maxConnections / 2) {
      throw new BrokerError('overloaded', { reason: 'max_connections' });
    }
    unproven.add(peer);
    socket.once('close', () => unproven.delete(peer));
  };

  const knocked = async (
    request: IncomingMessage,
    address: string,
    host: string,
    facts: Facts,
  ): Promise<Admitted> => {
    const giveBack = takeSlot(request);
    try {
      const { headers } = request;
      const url = withoutSecrets(request);
      const start = url.indexOf('?');
      const rooms = start < 0 ? [] : new URLSearchParams(url.slice(start + 1)).getAll('room');
      const { ticket: tickets, token: tokens } = carriedSecrets(request);
      tellWhereabouts(facts, { origin: headers.origin, aud: gate.audience, room: rooms[0] });
      const opened = await gate.admit({ headers, tickets, tokens, rooms, address, host });
      facts.via = opened?.via ?? 'message';
      const peer = { ip: address, origin: headers.origin, room: rooms[0] || undefined, via: facts.via };
      if (opened) tellSession(facts, opened.session, bindIp);
      else {
        wait(peer, request);
        facts.undecided = true;
      }
      return { session: opened?.session, peer };
    } catch (error) {
      giveBack();
      throw error;
    }
  };

  return {
    admit(request) {
      const { address, host } = visitor(request);
      const facts: Facts = { decision: 'redeem', ip: address, via: 'ws' };
      return decide(log, facts, () => knocked(request, address, host, facts));
    },
    admitLater(ticket, peer) {
      const facts: Facts = { decision: 'redeem', ip: peer.ip, via: 'message' };
      tellWhereabouts(facts, { ...peer, aud: gate.audience });
      return decide(log, facts, async () => {
        const session = await gate.redeem(ticket, peer);
        tellSession(facts, session, bindIp);
        unproven.delete(peer);
        return session;
      });
    },
    async showedNone(peer, reason) {
      const facts: Facts = { decision: 'redeem', ip: peer.ip, via: 'message' };
      tellWhereabouts(facts, { ...peer, aud: gate.audience });
      const refuse = async () => {
        throw new BrokerError('invalid_ticket', { reason });
      };
      await decide(log, facts, refuse).catch(() => {});
    },
  };
}
