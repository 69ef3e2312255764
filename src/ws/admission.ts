import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { BindIp } from '../address.ts';
import type { Decide } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import { carriedSecrets, withoutSecrets } from '../http/carried-secrets.ts';
import type { Visitor } from '../http/forwarded.ts';
import type { Peer } from '../sessions/live-sockets.ts';
import type { Session } from '../sessions/session.ts';
import type { Gate } from './gate.ts';

export interface AdmissionOptions {
  decide: Decide;
  log: Logger;
  gate: Gate;
  visitor: (request: IncomingMessage) => Visitor;
  /** Connections held at once, from the handshake on; 0 = no limit. */
  maxConnections: number;
  bindIp: BindIp;
}

export interface Admitted {
  session: Session;
  peer: Peer;
}

/** Asks the gate about an upgrade request, and records what it says. @throws BrokerError as the gate does, and `overloaded` */
export type Admit = (request: IncomingMessage) => Promise<Admitted>;

export function admission(options: AdmissionOptions): Admit {
  const { decide, log, gate, visitor, maxConnections, bindIp } = options;
  let connections = 0;

  /** Held from the handshake until it is refused or its connection is gone. @returns what gives it back, once */
  const takeSlot = ({ socket }: IncomingMessage): (() => void) => {
    if (maxConnections > 0 && connections >= maxConnections) {
      throw new BrokerError('overloaded', { reason: 'max_connections' });
    }
    connections++;
    const giveBack = () => {
      socket.off('close', giveBack);
      connections--;
    };
    socket.on('close', giveBack);
    return giveBack;
  };

  return (request) => {
    const { address, host } = visitor(request);
    return decide(log, { decision: 'redeem', ip: address, via: 'ws' }, async (facts) => {
      const giveBack = takeSlot(request);
      try {
        const { headers } = request;
        const [, query] = withoutSecrets(request).split('?', 2);
        const rooms = query ? new URLSearchParams(query).getAll('room') : [];
        const tickets = carriedSecrets(request).ticket;
        const session = await gate.admit({ headers, tickets, rooms, address, host });
        const { session_id, ticket_id, record } = session;
        Object.assign(facts, { sub: record.sub, ticket_id, session_id });
        if (bindIp === 'log' && record.ip !== undefined && record.ip !== address) facts.bound_to = record.ip;
        return { session, peer: { ip: address, origin: headers.origin, via: 'ws' } };
      } catch (error) {
        giveBack();
        throw error;
      }
    });
  };
}
