import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { Metrics } from '../metrics.ts';
import { closeCodes } from './close-codes.ts';
import type { Session } from './session.ts';

export interface LiveSocketsOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Logger;
  metrics: Pick<Metrics, 'socketOpened' | 'socketClosed'>;
  /** Milliseconds between pings; a peer that has not answered one by the next is dropped. */
  pingInterval?: number;
}

export interface LiveSockets {
  /** Takes over a socket that has just been opened, until it closes. */
  add(socket: WebSocket, session: Session): void;
  /** Asks every peer to come back elsewhere, and drops those that are still there after `timeout` milliseconds. */
  closeAll(timeout: number): Promise<void>;
}

/** The admitted sockets of this process: welcomed, kept alive, ended in time. */
export function liveSockets({ now, log, metrics, pingInterval = 30_000 }: LiveSocketsOptions): LiveSockets {
  const sockets = new Set<WebSocket>();
  const silent = new WeakSet<WebSocket>();

  const pinger = setInterval(() => {
    for (const socket of sockets) {
      if (silent.has(socket)) socket.terminate();
      else {
        silent.add(socket);
        socket.ping();
      }
    }
  }, pingInterval).unref();

  return {
    add(socket, session) {
      const { session_id, ticket_id, record, deadline } = session;
      const left = deadline - now();
      const end = setTimeout(() => socket.close(closeCodes.sessionEnded, 'session ended'), left).unref();
      sockets.add(socket);
      metrics.socketOpened();
      socket.on('pong', () => silent.delete(socket));
      socket.on('message', (data) => answer(socket, String(data)));
      socket.on('close', (code) => {
        clearTimeout(end);
        sockets.delete(socket);
        metrics.socketClosed(code);
        log.info({ session_id, ticket_id, sub: record.sub, code }, 'socket closed');
      });
      const { sub, username, rooms, context } = record;
      send(socket, {
        type: 'welcome',
        session_id,
        sub,
        username,
        rooms,
        context,
        expires_in: Math.floor(left / 1000),
      });
    },

    async closeAll(timeout) {
      clearInterval(pinger);
      const closed = [...sockets].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      );
      for (const socket of sockets) socket.close(closeCodes.restarting, 'restarting');
      const late = setTimeout(() => {
        for (const socket of sockets) socket.terminate();
      }, timeout);
      await Promise.all(closed);
      clearTimeout(late);
    },
  };
}

/** There is nothing to talk to behind the gate of this process itself: whatever JSON comes is answered with that. */
function answer(socket: WebSocket, text: string): void {
  try {
    JSON.parse(text);
  } catch {
    socket.close(closeCodes.notJson, 'not JSON');
    return;
  }
  send(socket, {
    type: 'error',
    error: 'unknown_type',
    error_description: 'Nothing here takes messages of this type.',
  });
}

function send(socket: WebSocket, message: object): void {
  socket.send(JSON.stringify(message));
}
