import type { Logger } from 'pino';
import { BrokerError } from './errors.ts';
import type { Metrics } from './metrics.ts';

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
  /** `ok`, or what an answer is really about: more exact than the code that the caller sees. */
  reason?: string;
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

export function recordDecisions(metrics: Metrics): Decide {
  return async (log, facts, work) => {
    const record = (granted: boolean, reason: string) => {
      metrics.decided(facts.decision, granted, reason);
      log.info({ ...facts, granted, reason }, granted ? 'granted' : 'refused');
    };
    try {
      const result = await work(facts);
      record(true, facts.reason ?? 'ok');
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
