import type { Logger } from 'pino';
import type { BindIp } from '../address.ts';
import { type Decide, type Facts, tellSession, tellWhereabouts } from '../decisions.ts';
import { about, BrokerError } from '../errors.ts';
import { anotherSubject, type Refresh } from '../sessions/refresh.ts';
import type { Gate } from './gate.ts';

export interface SessionRefreshOptions {
  decide: Decide;
  log: Pick<Logger, 'info'>;
  gate: Pick<Gate, 'redeem' | 'audience'>;
  bindIp: BindIp;
}

/** Asks the gate about a ticket that came on an open socket, and records what it says. */
export function sessionRefresh({ decide, log, gate, bindIp }: SessionRefreshOptions): Refresh {
  return (ticket, peer, { session_id, record: { sub } }) => {
    const facts: Facts = { decision: 'refresh_session', ip: peer.ip, sub, session_id };
    tellWhereabouts(facts, { aud: gate.audience, room: peer.room });
    return decide(log, facts, async () => {
      try {
        const fresh = await gate.redeem(ticket, peer);
        if (fresh.record.sub !== sub) {
          const facts = { ...(fresh.ticket_id && { ticket_id: fresh.ticket_id }) };
          throw new BrokerError('binding_mismatch', { reason: anotherSubject, facts });
        }
        tellSession(facts, { ...fresh, session_id }, bindIp);
        return fresh;
      } catch (error) {
        // A used ticket names the session that it opened, and a revoked one its subject: this is about the one that is open.
        throw about(error, { session_id, sub });
      }
    });
  };
}
