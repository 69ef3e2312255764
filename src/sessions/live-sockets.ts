import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { BrokerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Feed } from '../revocations/feed.ts';
import { type Revocation, reaches } from '../revocations/revocation.ts';
import { closeCodes } from './close-codes.ts';
import { type Deadline, deadline } from './deadline.ts';
import { drain } from './drain.ts';
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

/** Redeems a ticket that arrived on an open socket. @throws BrokerError as the gate does */
export type Refresh = (ticket: string, peer: Peer) => Promise<Session>;

export interface LiveSocketsOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Logger;
  metrics: Pick<Metrics, 'socketOpened' | 'socketClosed'>;
  feed: Feed;
  registry: Registry;
  /** The name of this process in the registry. */
  node: string;
  refresh: Refresh;
  /** Ends the oldest sessions of a subject that has more than `max`; 0 = no limit. */
  maxPerSubject: number;
  endSessions: (sessions: readonly ListedSession[]) => Promise<void>;
  /** Milliseconds between pings; a peer that has not answered one by the next is dropped. */
  pingInterval?: number;
}

export interface LiveSockets {
  /** Takes over a socket that has just been opened, until it closes. */
  add(socket: WebSocket, session: Session, peer: Peer): void;
  /** Sends every peer elsewhere within `timeout` milliseconds, a few at a time. */
  closeAll(timeout: number): Promise<void>;
}

interface Live {
  session: Session;
  readonly peer: Peer;
  readonly since: number;
  readonly end: Deadline;
}

const warnBefore = 60_000;

/** The admitted sockets of this process: welcomed, kept alive, listed, refreshed, and ended when their time has come. */
export function liveSockets(options: LiveSocketsOptions): LiveSockets {
  const { now, log, metrics, feed, registry, node, refresh, maxPerSubject, endSessions } = options;
  const live = new Map<WebSocket, Live>();
  const silent = new WeakSet<WebSocket>();
  const ends = timetable(now);
  let closing = false;

  const pinger = setInterval(() => {
    for (const socket of live.keys()) {
      if (silent.has(socket)) socket.terminate();
      else {
        silent.add(socket);
        socket.ping();
      }
    }
  }, options.pingInterval ?? 30_000).unref();

  const revoke = (socket: WebSocket, { session, peer }: Live, { rid, reason }: Revocation) => {
    const { session_id, ticket_id, record } = session;
    log.info({ session_id, ticket_id, sub: record.sub, ip: peer.ip, rid, reason }, 'session revoked');
    socket.close(closeCodes.revoked, reason ?? 'revoked');
  };
  const unfollow = feed.follow(({ revocation }) => {
    for (const [socket, held] of live)
      if (reaches(revocation, revocable(held.session))) revoke(socket, held, revocation);
  });

  const list = async ({ session, peer, since }: Live) => {
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
  const enlist = (held: Live) =>
    void list(held).catch((err) => log.warn({ err }, 'a session is not listed yet'));

  /** Moves the deadline on with a fresh ticket of the same subject. */
  const refreshed = async (socket: WebSocket, held: Live, ticket: string) => {
    try {
      const fresh = await refresh(ticket, held.peer);
      if (fresh.record.sub !== held.session.record.sub) {
        socket.close(closeCodes.policy, 'another subject');
        return;
      }
      held.session = { ...fresh, session_id: held.session.session_id };
      held.end.moveTo(fresh.deadline);
      enlist(held);
      send(socket, { type: 'session.refreshed', expires_in: Math.floor((fresh.deadline - now()) / 1000) });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      send(socket, { type: 'error', error: error.code, error_description: error.message });
    }
  };

  const receive = (socket: WebSocket, held: Live, text: string) => {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      socket.close(closeCodes.notJson, 'not JSON');
      return;
    }
    if (!isObject(message) || typeof message['type'] !== 'string') {
      socket.close(closeCodes.policy, 'a message is an object with a type');
    } else if (message['type'] === 'session.refresh') {
      if (typeof message['ticket'] !== 'string') socket.close(closeCodes.policy, 'ticket is missing');
      else
        void refreshed(socket, held, message['ticket']).catch((err) =>
          log.error({ err }, 'unexpected error'),
        );
    } else {
      send(socket, {
        type: 'error',
        error: 'unknown_type',
        error_description: 'Nothing here takes messages of this type.',
      });
    }
  };

  return {
    add(socket, session, peer) {
      if (closing) {
        socket.close(closeCodes.restarting, JSON.stringify({ reconnect_after_ms: 0 }));
        return;
      }
      const held: Live = {
        session,
        peer,
        since: now() / 1000,
        end: deadline({
          now,
          timetable: ends,
          warnBefore,
          onWarning: (left) =>
            send(socket, { type: 'session.expiring', expires_in: Math.round(left / 1000) }),
          onEnd: () => socket.close(closeCodes.sessionEnded, 'session ended'),
        }),
      };
      live.set(socket, held);
      metrics.socketOpened();
      socket.on('pong', () => silent.delete(socket));
      socket.on('message', (data) => receive(socket, held, String(data)));
      socket.on('close', (code) => {
        held.end.cancel();
        live.delete(socket);
        metrics.socketClosed(code);
        const { session_id, ticket_id, record } = held.session;
        log.info({ session_id, ticket_id, sub: record.sub, code }, 'socket closed');
        registry.remove({ session_id, sub: record.sub }).catch(() => {});
      });

      const { session_id, record } = session;
      const { sub, username, rooms, context } = record;
      const expires_in = Math.floor((session.deadline - now()) / 1000);
      send(socket, { type: 'welcome', session_id, sub, username, rooms, context, expires_in });
      held.end.moveTo(session.deadline);
      enlist(held);
      // It may have been revoked while the handshake was on its way back.
      const revocation = feed.find(revocable(session));
      if (revocation) revoke(socket, held, revocation);
    },

    async closeAll(timeout) {
      closing = true;
      clearInterval(pinger);
      await drain([...live.keys()], timeout);
      unfollow();
    },
  };
}

function revocable({ session_id, ticket_id, record: { sub, auth_time } }: Session) {
  return { sub, auth_time, session_id, ...(ticket_id !== undefined && { ticket_id }) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a peer may leave unread, in bytes: one that makes us talk and does not listen is dropped. */
const unreadLimit = 1024 * 1024;

function send(socket: WebSocket, message: object): void {
  if (socket.bufferedAmount > unreadLimit) socket.terminate();
  else socket.send(JSON.stringify(message));
}
