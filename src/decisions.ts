import type { Logger } from 'pino';
import type { BindIp } from './address.ts';
import type { Audit } from './audit/audit.ts';
import { BrokerError } from './errors.ts';
import type { Metrics } from './metrics.ts';
import { mayBeSecret } from './secret-forms.ts';
import type { Session } from './tickets/session.ts';

/** What a decision was about. Nothing in it may be a secret. */
export interface Facts {
  decision: 'login' | 'refresh' | 'mint' | 'redeem' | 'refresh_session' | 'revoke';
  /** The client's address; absent where the broker acts on its own. */
  ip?: string;
  /** How a ticket or a token came, or a login without a password. */
  via?: Via;
  /** Where the client says that it comes from, and what it wants to enter. */
  origin?: string;
  aud?: string;
  room?: string;
  sub?: string;
  /** Where it is not the `sub`. */
  username?: string;
  /** The service key that asked. */
  key?: string;
  ticket_id?: string;
  session_id?: string;
  /** Unix seconds of the session's end. */
  exp?: number;
  /** The address a ticket was bound to, where it came from another and that is only reported. */
  bound_to?: string;
  /** Who revokes; `holder` has shown the ticket itself. */
  by?: 'user' | 'service' | 'holder' | 'broker';
  /** Which of the fields of this name is revoked. */
  target?: 'sub' | 'session_id' | 'ticket_id';
  /** Unix seconds. */
  issued_before?: number;
  /** Names the revocation in the feed, and in the ends of the sessions that it reached. */
  rid?: string;
  /** How many live sessions were found that it reaches; 0 also where they could not be counted. */
  sessions?: number;
  /** Why something is revoked, in words. */
  because?: string;
  /** Nothing has been decided after all, and nothing is recorded: a socket is open, and its ticket still to come. */
  undecided?: true;
  /** `ok`, or what an answer is really about: more exact than the code that the caller sees. */
  reason?: string;
}

export type Via = 'ws' | 'bearer' | 'token' | 'message' | 'verify' | 'redeem' | 'test-token';

/** How an admitted connection ended. */
export interface SessionEnd {
  session_id: string;
  /** The last one that it went on by. */
  ticket_id: string | undefined;
  sub: string;
  ip: string;
  via: string;
  /** RFC 6455 7.4: what this node closed with or, where `ended_by` is `peer`, what the peer did. */
  code: number;
  ended_by: 'revocation' | 'deadline' | 'node' | 'peer';
  /** What the node said. A peer's own words are not repeated. */
  reason?: string;
  /** The revocation. */
  rid?: string;
  /** Seconds that it was open. */
  duration: number;
}

/** Adds the session that was opened; with `BIND_IP=log`, also that its ticket was bound to another address. */
export function tellSession(facts: Facts, session: Session, bindIp: BindIp): void {
  const { session_id, ticket_id, record, exp } = session;
  const { sub, username } = record;
  Object.assign(facts, { sub, ...(username !== sub && { username }), ticket_id, session_id, exp });
  if (bindIp === 'log' && record.ip !== undefined && record.ip !== facts.ip) facts.bound_to = record.ip;
}

/** Adds where a client comes from and goes to, unless it looks like a secret put in the wrong place. */
export function tellWhereabouts(
  facts: Facts,
  { origin, aud, room }: { origin?: string | undefined; aud?: string | undefined; room?: string | undefined },
): void {
  if (isHarmless(origin) && /^([a-z][a-z0-9+.-]*:\/\/[^/?#]*|null)$/.test(origin)) facts.origin = origin;
  if (isHarmless(aud)) facts.aud = aud;
  if (isHarmless(room)) facts.room = room;
}

function isHarmless(text: string | undefined): text is string {
  return text !== undefined && text.length <= 300 && !mayBeSecret.test(text) && !/\p{Cc}/u.test(text);
}

/**
 * Does what is asked and records how it ended: one log line with `granted` and `reason`, the same in the audit, and one
 * count.
 *
 * @param work adds to the facts what it learns on the way
 */
export type Decide = <T>(
  log: Pick<Logger, 'info'>,
  facts: Facts,
  work: (facts: Facts) => Promise<T>,
) => Promise<T>;

export function recordDecisions(metrics: Pick<Metrics, 'decided'>, audit?: Audit): Decide {
  return async (log, facts, work) => {
    const record = (granted: boolean, reason: string) => {
      metrics.decided(facts, granted, reason);
      const line = { ...facts, granted, reason };
      log.info(line, granted ? 'granted' : 'refused');
      audit?.decided(line);
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

/** Records how a session ended, as a decision is recorded: nobody else writes that line. */
export type RecordEnd = (log: Pick<Logger, 'info'>, end: SessionEnd) => void;

export function recordEnds(audit?: Audit): RecordEnd {
  return (log, end) => {
    log.info(end, 'socket closed');
    audit?.ended(end);
  };
}
