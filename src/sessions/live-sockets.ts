import { setImmediate as turnEnds } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { Metrics } from '../metrics.ts';
import { repeatedly } from '../repeatedly.ts';
import { Roster } from '../roster.ts';
import { slices } from '../slices.ts';
import type { Session } from '../tickets/session.ts';
import { closeCodes } from './close-codes.ts';
import type { Enter } from './connection.ts';
import { drain } from './drain.ts';
import type { LiveSessions, Peer } from './live-sessions.ts';
import { type ReceiverOptions, receiver } from './receive.ts';

/** Milliseconds that a peer has to answer a close. */
const closeWithinMs = 5000;
/** Sockets that are pinged in one turn: each is a system call, and nobody else is served meanwhile. */
const pingedTogether = 500;

export interface LiveSocketsOptions extends ReceiverOptions {
  log: Pick<Logger, 'info' | 'error'>;
  metrics: Pick<Metrics, 'socketOpened' | 'socketClosed'>;
  sessions: LiveSessions;
  /** What lives behind the gate; undefined: nothing. */
  enter: Enter | undefined;
  /** Milliseconds between pings; a peer that has not answered one by the next is dropped. */
  pingInterval?: number;
}

export interface LiveSockets {
  /** Takes over a socket that has been admitted, until it closes; one that has gone meanwhile is left alone. */
  add(socket: WebSocket, session: Session, peer: Peer): void;
  /** Sends every peer elsewhere within `timeout` milliseconds, a few at a time. */
  closeAll(timeout: number): Promise<void>;
}

/** The admitted sockets of this process: welcomed, kept alive, refreshed, and closed when their session is over. */
export function liveSockets(options: LiveSocketsOptions): LiveSockets {
  const { now, log, metrics, sessions, enter, messageLimit } = options;
  const receive = receiver(options);
  const live = new Roster<WebSocket>();
  const silent = new WeakSet<WebSocket>();
  let closing = false;

  const ping = (socket: WebSocket) => {
    if (silent.has(socket)) return socket.terminate();
    silent.add(socket);
    socket.ping();
  };
  const pinging = repeatedly(options.pingInterval ?? 30_000, async () => {
    for (const some of slices(live, pingedTogether)) {
      for (const socket of some) ping(socket);
      await turnEnds();
    }
  });

  return {
    add(socket, session, peer) {
      const { session_id, ticket_id, record } = session;
      const { sub, username, rooms, context } = record;
      if (socket.readyState !== socket.OPEN) {
        // Its 'close' may have been already: nobody would ever take it out again.
        log.info({ session_id, ticket_id, sub, ip: peer.ip }, 'gone before its session began');
        return;
      }
      if (closing) {
        socket.close(closeCodes.restarting, JSON.stringify({ reconnect_after_ms: 0 }));
        return;
      }
      const strikeOff = live.add(socket);
      metrics.socketOpened();
      const expires_in = Math.floor((session.deadline - now()) / 1000);
      const message_limit = messageLimit || undefined;
      send(socket, { type: 'welcome', session_id, sub, username, rooms, context, expires_in, message_limit });
      const entered = sessions.enter(session, peer, {
        onExpiring: (left) => send(socket, { type: 'session.expiring', expires_in: Math.round(left / 1000) }),
        onEnd(code, reason) {
          socket.close(code, reason);
          // Who does not answer the close would be listed, and in its rooms, for half a minute more.
          setTimeout(() => socket.terminate(), closeWithinMs).unref();
        },
      });
      const stay = enter?.({
        peer,
        session: entered.session,
        isOpen: () => socket.readyState === socket.OPEN,
        send: (text) => sendText(socket, text),
        close: (code, reason) => entered.end(code, reason),
      });
      const take = receive({ peer, session: entered, stay, send: (message) => send(socket, message) });
      socket.on('pong', () => silent.delete(socket));
      socket.on('message', (data) => {
        // Whoever has been sent away has no say any more, also while the close is on its way.
        if (socket.readyState === socket.OPEN) take(String(data));
      });
      socket.on('close', (code) => {
        entered.leave(code);
        stay?.leave();
        strikeOff();
        metrics.socketClosed(code);
        // Node allocates a part of every stream in V8's old generation: what still hangs on it, a minor collection keeps.
        for (const event of ['message', 'pong', 'close']) socket.removeAllListeners(event);
      });
    },

    async closeAll(timeout) {
      closing = true;
      void pinging.stop();
      sessions.stopping();
      await drain([...live], timeout);
      sessions.stop();
    },
  };
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
