import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { BrokerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { closeCodes } from './close-codes.ts';
import { drain } from './drain.ts';
import type { LiveSession, LiveSessions, Peer } from './live-sessions.ts';
import { anotherSubject, type Refresh } from './refresh.ts';
import type { Session } from './session.ts';

export interface LiveSocketsOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Logger;
  metrics: Pick<Metrics, 'socketOpened' | 'socketClosed'>;
  sessions: LiveSessions;
  refresh: Refresh;
  /** Milliseconds between pings; a peer that has not answered one by the next is dropped. */
  pingInterval?: number;
}

export interface LiveSockets {
  /** Takes over a socket that has just been opened, until it closes. */
  add(socket: WebSocket, session: Session, peer: Peer): void;
  /** Sends every peer elsewhere within `timeout` milliseconds, a few at a time. */
  closeAll(timeout: number): Promise<void>;
}

/** The admitted sockets of this process: welcomed, kept alive, refreshed, and closed when their session is over. */
export function liveSockets(options: LiveSocketsOptions): LiveSockets {
  const { now, log, metrics, sessions, refresh } = options;
  const live = new Set<WebSocket>();
  const silent = new WeakSet<WebSocket>();
  let closing = false;

  const pinger = setInterval(() => {
    for (const socket of live) {
      if (silent.has(socket)) socket.terminate();
      else {
        silent.add(socket);
        socket.ping();
      }
    }
  }, options.pingInterval ?? 30_000).unref();

  /** Moves the deadline on with a fresh ticket of the same subject. */
  const refreshed = async (socket: WebSocket, held: LiveSession, peer: Peer, ticket: string) => {
    try {
      const fresh = await refresh(ticket, peer, held.session);
      held.renew(fresh);
      send(socket, { type: 'session.refreshed', expires_in: secondsUntil(fresh.deadline) });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      if (error.reason === anotherSubject) held.end(closeCodes.policy, 'another subject');
      else send(socket, { type: 'error', error: error.code, error_description: error.message });
    }
  };

  const receive = (socket: WebSocket, held: LiveSession, peer: Peer, text: string) => {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      held.end(closeCodes.notJson, 'not JSON');
      return;
    }
    if (!isObject(message) || typeof message['type'] !== 'string') {
      held.end(closeCodes.policy, 'a message is an object with a type');
    } else if (message['type'] === 'session.refresh') {
      if (typeof message['ticket'] !== 'string') held.end(closeCodes.policy, 'ticket is missing');
      else
        void refreshed(socket, held, peer, message['ticket']).catch((err) =>
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

  const secondsUntil = (deadline: number) => Math.floor((deadline - now()) / 1000);

  return {
    add(socket, session, peer) {
      if (closing) {
        socket.close(closeCodes.restarting, JSON.stringify({ reconnect_after_ms: 0 }));
        return;
      }
      live.add(socket);
      metrics.socketOpened();
      const { session_id, record } = session;
      const { sub, username, rooms, context } = record;
      const expires_in = secondsUntil(session.deadline);
      send(socket, { type: 'welcome', session_id, sub, username, rooms, context, expires_in });
      const held = sessions.enter(session, peer, {
        onExpiring: (left) => send(socket, { type: 'session.expiring', expires_in: Math.round(left / 1000) }),
        onEnd: (code, reason) => socket.close(code, reason),
      });
      socket.on('pong', () => silent.delete(socket));
      socket.on('message', (data) => receive(socket, held, peer, String(data)));
      socket.on('close', (code) => {
        held.leave(code);
        live.delete(socket);
        metrics.socketClosed(code);
      });
    },

    async closeAll(timeout) {
      closing = true;
      clearInterval(pinger);
      sessions.stopping();
      await drain([...live], timeout);
      sessions.stop();
    },
  };
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
