import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { BrokerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { type Allowance, allowance } from './allowance.ts';
import { closeCodes } from './close-codes.ts';
import type { Enter, Message, Stay } from './connection.ts';
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
  /** What lives behind the gate; undefined: nothing. */
  enter: Enter | undefined;
  /** Messages that a socket may send in a second; 0 = no limit. */
  messageLimit: number;
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
  readonly socket: WebSocket;
  readonly peer: Peer;
  readonly session: LiveSession;
  readonly stay: Stay | undefined;
  readonly messages: Allowance | undefined;
  /** It has been told that it sends too fast. */
  told: boolean;
}

/** The admitted sockets of this process: welcomed, kept alive, refreshed, and closed when their session is over. */
export function liveSockets(options: LiveSocketsOptions): LiveSockets {
  const { now, log, metrics, sessions, refresh, enter, messageLimit } = options;
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
  const refreshed = async ({ socket, peer, session }: Live, ticket: string) => {
    try {
      const fresh = await refresh(ticket, peer, session.session);
      session.renew(fresh);
      send(socket, { type: 'session.refreshed', expires_in: secondsUntil(fresh.deadline) });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      if (error.reason === anotherSubject) session.end(closeCodes.policy, 'another subject');
      else send(socket, { type: 'error', error: error.code, error_description: error.message });
    }
  };

  const receive = (held: Live, text: string) => {
    const { socket, session, stay, messages } = held;
    const wait = messages?.take() ?? 0;
    if (wait > 0) return tooFast(held, wait);
    held.told = false;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      session.end(closeCodes.notJson, 'not JSON');
      return;
    }
    if (!isObject(message) || typeof message['type'] !== 'string') {
      session.end(closeCodes.policy, 'a message is an object with a type');
    } else if (message['type'] === 'session.refresh') {
      if (typeof message['ticket'] !== 'string') session.end(closeCodes.policy, 'ticket is missing');
      else void refreshed(held, message['ticket']).catch((err) => log.error({ err }, 'unexpected error'));
    } else if (stay) {
      stay.receive(message as Message);
    } else {
      send(socket, {
        type: 'error',
        error: 'unknown_type',
        error_description: 'Nothing here takes messages of this type.',
      });
    }
  };

  /** Once, until it has slowed down: whoever does not listen is not answered each time. */
  const tooFast = (held: Live, retry_after_ms: number) => {
    if (held.told) return;
    held.told = true;
    send(held.socket, {
      type: 'error',
      error: 'rate_limited',
      error_description: 'Too many messages: those above the limit are dropped.',
      retry_after_ms,
    });
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
      const entered = sessions.enter(session, peer, {
        onExpiring: (left) => send(socket, { type: 'session.expiring', expires_in: Math.round(left / 1000) }),
        onEnd: (code, reason) => socket.close(code, reason),
      });
      const held: Live = {
        socket,
        peer,
        session: entered,
        stay: enter?.({
          get session() {
            return entered.session;
          },
          peer,
          send: (text) => sendText(socket, text),
          close: (code, reason) => entered.end(code, reason),
        }),
        messages: messageLimit > 0 ? allowance(messageLimit, now) : undefined,
        told: false,
      };
      socket.on('pong', () => silent.delete(socket));
      socket.on('message', (data) => receive(held, String(data)));
      socket.on('close', (code) => {
        entered.leave(code);
        held.stay?.leave();
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
  sendText(socket, JSON.stringify(message));
}

function sendText(socket: WebSocket, text: string): void {
  if (socket.bufferedAmount > unreadLimit) socket.terminate();
  else socket.send(text);
}
