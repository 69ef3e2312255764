import type { Logger } from 'pino';
import type { BindIp } from './address.ts';
import { BrokerError } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { Session } from './sessions/session.ts';

/** What a decision was about. Nothing in it may be a secret. */
export interface Facts {
  decision: 'login' | 'refresh' | 'mint' | 'redeem' | 'revoke';
  /** The client's address. */
  ip: string;
  /** How a ticket came: only redemptions have it. */
  via?: string;
  sub?: string;
  /** The service key that asked. */
  key?: string;
  ticket_id?: string;
  session_id?: string;
  /** The address a ticket was bound to, where it came from another and that is only reported. */
  bound_to?: string;
  /** Nothing has been decided after all, and nothing is recorded: a socket is open, and its ticket still to come. */
  undecided?: true;
  /** `ok`, or what an answer is really about: more exact than the code that the caller sees. */
  reason?: string;
}

/** Adds the session that was opened; with `BIND_IP=log`, also that its ticket was bound to another address. */
export function tellSession(facts: Facts, { session_id, ticket_id, record }: Session, bindIp: BindIp): void {
  Object.assign(facts, { sub: record.sub, ticket_id, session_id });
  if (bindIp === 'log' && record.ip !== undefined && record.ip !== facts.ip) facts.bound_to = record.ip;
}

/**
 * Does what is asked and records how it ended: one log line with `granted` and `reason`, and one count.
 *
 * @param work adds to the facts what it learns on the way
 */
export type Decide = <T>(
  log: Pick<Logger, 'info'>,
  facts: Facts,
  work: (facts: Facts) => Promise<T>,
) => Promise<T>;

export function recordDecisions(metrics: Pick<Metrics, 'decided'>): Decide {
  return async (log, facts, work) => {
    const record = (granted: boolean, reason: string) => {
      metrics.decided(facts.decision, granted, reason);
      log.info({ ...facts, granted, reason }, granted ? 'granted' : 'refused');
    };
    try {
      const result = await work(facts);
      if (!facts.undecided) record(true, facts.reason ?? 'ok');
      return result;
    } catch (error) {
      // Anything else is a bug, and logged as one where it is answered.
      if (error instanceof BrokerError) {
        Object.assign(facts, error.facts);
        record(false, error.reason);
      }
      throw error;
    }
  };
}
