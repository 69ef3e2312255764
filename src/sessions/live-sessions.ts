import type { Logger } from 'pino';
import type { RecordEnd, SessionEnd } from '../decisions.ts';
import type { Feed } from '../revocations/feed.ts';
import { type Revocation, reaches } from '../revocations/revocation.ts';
import { closeCodes } from './close-codes.ts';
import { type Deadline, deadline } from './deadline.ts';
import type { ListedSession, Registry } from './registry.ts';
import type { Session } from './session.ts';
import { timetable } from './timetable.ts';

/** Where an admitted connection came from. */
export interface Peer {
  ip: string;
  origin: string | undefined;
  /** The room asked for with the handshake. */
  room?: string | undefined;
  via: string;
}

export interface LiveSessionsOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Pick<Logger, 'info' | 'warn'>;
  recordEnd: RecordEnd;
  feed: Pick<Feed, 'find' | 'follow'>;
  registry: Pick<Registry, 'add' | 'remove' | 'ofSubject'>;
  /** The name of this process in the registry. */
  node: string;
  /** Ends the oldest sessions of a subject that has more than `max`; 0 = no limit. */
  maxPerSubject: number;
  endSessions: (sessions: readonly ListedSession[]) => Promise<void>;
}

/** What a session's connection is told. */
export interface SessionEvents {
  /** A minute before the end. */
  onExpiring(leftMs: number): void;
  /** It has to close now. @param code of `closeCodes` */
  onEnd(code: number, reason: string): void;
}

export interface LiveSession {
  readonly session: Session;
  /** Goes on until another session of the same subject would end, under its own name. */
  renew(fresh: Session): void;
  /** Closes its connection. @param code of `closeCodes` */
  end(code: number, reason: string): void;
  /** Its connection is gone. @param code RFC 6455 7.4, as its peer said */
  leave(code: number): void;
}

export interface LiveSessions {
  /** Watches over a session from its admission on, until it leaves. */
  enter(session: Session, peer: Peer, events: SessionEvents): LiveSession;
  /** Whoever leaves from now on does so because this node stops. */
  stopping(): void;
  /** Ends nobody any more. */
  stop(): void;
}

interface Held {
  session: Session;
  readonly peer: Peer;
  readonly since: number;
  readonly events: SessionEvents;
  readonly end: Deadline;
  /** Set once this node wants it to close. */
  ending?: Pick<SessionEnd, 'ended_by' | 'code' | 'reason' | 'rid'>;
}

const warnBefore = 60_000;

/** The sessions whose connections this process holds: listed, and ended when they are over or revoked. */
export function liveSessions(options: LiveSessionsOptions): LiveSessions {
  const { now, log, recordEnd, feed, registry, node, maxPerSubject, endSessions } = options;
  const live = new Set<Held>();
  const ends = timetable(now);
  let stopping = false;

  const end = (held: Held, ending: SessionEnd['ended_by'], code: number, reason: string, rid?: string) => {
    held.ending ??= { ended_by: ending, code, reason, ...(rid !== undefined && { rid }) };
    held.events.onEnd(code, reason);
  };
  const revoke = (held: Held, { rid, reason = 'revoked' }: Revocation) => {
    const { session, peer } = held;
    const { session_id, ticket_id, record } = session;
    log.info({ session_id, ticket_id, sub: record.sub, ip: peer.ip, rid, reason }, 'session revoked');
    end(held, 'revocation', closeCodes.revoked, reason, rid);
  };
  const unfollow = feed.follow(({ revocation }) => {
    for (const held of live) if (reaches(revocation, revocable(held.session))) revoke(held, revocation);
  });

  const list = async ({ session, peer, since }: Held) => {
    const { session_id, record } = session;
    const { sub, username, auth_time } = record;
    const { ip, via } = peer;
    await registry.add({ session_id, sub, username, node, ip, since, exp: session.exp, auth_time, via });
    if (maxPerSubject === 0) return;
    // Others hold the sockets of what they redeemed, and may have closed them already.
    const all = (await registry.ofSubject(sub)).filter((other) => !['redeem', 'verify'].includes(other.via));
    if (all.length > maxPerSubject) await endSessions(all.slice(0, all.length - maxPerSubject));
  };
  // What could not be listed now is listed with the node's next lease.
  const enlist = (held: Held) =>
    void list(held).catch((err) => log.warn({ err }, 'a session is not listed yet'));

  return {
    enter(session, peer, events) {
      const over = deadline({
        now,
        timetable: ends,
        warnBefore,
        onWarning: (left) => events.onExpiring(left),
        onEnd: () => end(held, 'deadline', closeCodes.sessionEnded, 'session ended'),
      });
      const held: Held = { session, peer, since: now() / 1000, events, end: over };
      live.add(held);
      over.moveTo(session.deadline);
      enlist(held);
      // It may have been revoked while the handshake was on its way back.
      const revocation = feed.find(revocable(session));
      if (revocation) revoke(held, revocation);
      return {
        get session() {
          return held.session;
        },
        renew(fresh) {
          held.session = { ...fresh, session_id: session.session_id };
          over.moveTo(fresh.deadline);
          enlist(held);
        },
        end: (code, reason) => end(held, 'node', code, reason),
        leave(code) {
          over.cancel();
          live.delete(held);
          const { session_id, record } = session;
          registry.remove({ session_id, sub: record.sub }).catch(() => {});
          const { ip, via } = peer;
          recordEnd(log, {
            session_id,
            ticket_id: held.session.ticket_id,
            sub: record.sub,
            ip,
            via,
            code,
            ended_by: stopping ? 'node' : 'peer',
            ...held.ending,
            duration: Math.round(now() - held.since * 1000) / 1000,
          });
        },
      };
    },
    stopping() {
      stopping = true;
    },
    stop: unfollow,
  };
}

function revocable({ session_id, ticket_id, record: { sub, auth_time } }: Session) {
  return { sub, auth_time, session_id, ...(ticket_id !== undefined && { ticket_id }) };
}
