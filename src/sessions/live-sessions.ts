import type { Logger } from 'pino';
import type { RecordEnd, SessionEnd } from '../decisions.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Revocation } from '../revocations/revocation.ts';
import { Roster } from '../roster.ts';
import type { Session } from '../tickets/session.ts';
import { closeCodes } from './close-codes.ts';
import { type Deadline, deadline } from './deadline.ts';
import { isHeldElsewhere, type ListedSession, type Registry } from './registry.ts';
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
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
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
  /** As it is now. */
  session(): Session;
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
  /** What it has been called: by the ticket that opened it, and by those that have renewed it, the latest ones. */
  readonly names: Pick<Session, 'session_id' | 'ticket_id'>[];
  readonly peer: Peer;
  /** Unix seconds. */
  readonly since: number;
  readonly events: SessionEvents;
  readonly end: Deadline;
  /** Set once its connection is gone. */
  left?: true;
  /** Set once this node wants it to close. */
  ending?: Pick<SessionEnd, 'ended_by' | 'code' | 'reason' | 'rid'>;
}

const warnBefore = 60_000;
/** Names of one session: each revocation is held against all of them. */
const mostNames = 1000;

/** The sessions whose connections this process holds: listed, and ended when they are over or revoked. */
export function liveSessions(options: LiveSessionsOptions): LiveSessions {
  const { now, log, recordEnd, feed, registry, node, maxPerSubject, endSessions } = options;
  const live = new Roster<Held>();
  const ends = timetable(now);
  let stopping = false;

  const tell = ({ session, events }: Held, what: string, say: (events: SessionEvents) => void) => {
    try {
      say(events);
    } catch (err) {
      // The others have to be told all the same.
      log.error({ err, session_id: session.session_id }, `a session could not be ${what}`);
    }
  };
  const end = (held: Held, ending: SessionEnd['ended_by'], code: number, reason: string, rid?: string) => {
    held.ending ??= { ended_by: ending, code, reason, ...(rid !== undefined && { rid }) };
    tell(held, 'ended', ({ onEnd }) => onEnd(code, closeReason(reason)));
  };
  const revocationOf = (held: Held): Revocation | undefined => {
    const { sub, auth_time } = held.session.record;
    for (const name of held.names) {
      const revocation = feed.find({ sub, auth_time, ...name });
      if (revocation) return revocation;
    }
    return undefined;
  };
  const revoke = (held: Held, { rid, reason = 'revoked' }: Revocation) => {
    const { session, peer } = held;
    const { session_id, ticket_id, record } = session;
    log.info({ session_id, ticket_id, sub: record.sub, ip: peer.ip, rid, reason }, 'session revoked');
    end(held, 'revocation', closeCodes.revoked, reason, rid);
  };
  let judging = false;
  // Once for all that comes together: one read of the feed brings a thousand, and there may be a hundred thousand sessions.
  const judgeAll = () => {
    judging = false;
    for (const held of live) {
      const revocation = held.ending ? undefined : revocationOf(held);
      if (revocation) revoke(held, revocation);
    }
  };
  const unfollow = feed.follow(() => {
    if (!judging) queueMicrotask(judgeAll);
    judging = true;
  });

  const list = ({ session, peer, since }: Held) => {
    const { session_id, record, exp } = session;
    const { sub, username, auth_time } = record;
    const { ip, via } = peer;
    return registry.add({ session_id, sub, username, node, ip, since, exp, auth_time, via });
  };
  /** Those of too many that are being ended: hundreds may arrive meanwhile. */
  const surplus = new Set<string>();
  const endOldest = async (sub: string) => {
    // Others hold the sockets of what they redeemed, and may have closed them already.
    const all = (await registry.ofSubject(sub)).filter((other) => !isHeldElsewhere(other));
    const tooMany = all.slice(0, Math.max(all.length - maxPerSubject, 0));
    const more = tooMany.filter(({ session_id }) => !surplus.has(session_id));
    if (more.length === 0) return;
    for (const { session_id } of more) surplus.add(session_id);
    try {
      await endSessions(more);
    } finally {
      for (const { session_id } of more) surplus.delete(session_id);
    }
  };
  const enlist = async (held: Held) => {
    const { sub } = held.session.record;
    // What could not be listed now is listed with the node's next lease.
    await list(held).catch((err) => log.warn({ err }, 'a session is not listed yet'));
    if (maxPerSubject === 0) return;
    await endOldest(sub).catch((err) =>
      log.warn({ err, sub }, 'a subject may have too many sessions until it begins another'),
    );
  };

  return {
    enter(session, peer, events) {
      const over = deadline({
        now,
        timetable: ends,
        warnBefore,
        onWarning: (left) => tell(held, 'warned', ({ onExpiring }) => onExpiring(left)),
        onEnd: () => end(held, 'deadline', closeCodes.sessionEnded, 'session ended'),
      });
      const held: Held = { session, names: [nameOf(session)], peer, since: now() / 1000, events, end: over };
      const strikeOff = live.add(held);
      over.moveTo(session.deadline);
      void enlist(held);
      // It may have been revoked while the handshake was on its way back.
      const revocation = revocationOf(held);
      if (revocation) revoke(held, revocation);
      return {
        session: () => held.session,
        renew(fresh) {
          // The connection may have gone while the ticket was being redeemed.
          if (held.left) return;
          held.session = { ...fresh, session_id: session.session_id };
          held.names.push(nameOf(fresh));
          // The first one is what it is listed by.
          if (held.names.length > mostNames) held.names.splice(1, 1);
          over.moveTo(fresh.deadline);
          void enlist(held);
          const reached = revocationOf(held);
          if (reached) revoke(held, reached);
        },
        end: (code, reason) => end(held, 'node', code, reason),
        leave(code) {
          over.cancel();
          strikeOff();
          held.left = true;
          const { session_id, record } = session;
          // What could not be taken out now is taken out with the node's next lease.
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

function nameOf({ session_id, ticket_id }: Session): Pick<Session, 'session_id' | 'ticket_id'> {
  return { session_id, ...(ticket_id !== undefined && { ticket_id }) };
}

/** As much of a reason as a close frame holds: 123 bytes (RFC 6455 5.5). */
function closeReason(reason: string): string {
  return reason.slice(0, new TextEncoder().encodeInto(reason, new Uint8Array(123)).read);
}
