import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import type { WebSocket, WebSocketServer } from 'ws';
import { BrokerError } from '../errors.ts';
import type { Peer } from '../sessions/live-sessions.ts';
import type { LiveSockets } from '../sessions/live-sockets.ts';
import type { Admission, Admitted } from './admission.ts';
import { endOnce } from './end-once.ts';
import { awaitTicket, type NoTicket } from './first-message.ts';
import { answerPings } from './pong.ts';

export interface UpgradesOptions {
  server: Server;
  websocketServer: WebSocketServer;
  admission: Admission;
  sockets: LiveSockets;
  log: Pick<FastifyBaseLogger, 'debug' | 'error'>;
  /** Says no on a connection that is not upgraded yet. */
  refuse: (refusal: unknown, request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/**
 * Answers upgrade requests: the gate decides before anything is upgraded, and whoever is admitted goes straight from
 * Node's parser to `ws`, past the router, its hooks and a reply that nobody would send (what that costs: bench/RESULTS.md).
 *
 * @returns `stop`: admits nobody any more, and resolves once everybody who knocked before has been answered
 */
export function acceptUpgrades(options: UpgradesOptions): { stop(): Promise<void> } {
  const { server, websocketServer, admission, sockets, log, refuse } = options;
  const underWay = new Set<Promise<void>>();
  let stopping = false;

  const onFault = (err: unknown) => log.error({ err }, 'unexpected error');
  const refuseLater = (peer: Peer) => (reason: NoTicket) => void admission.showedNone(peer, reason);
  const addLater = async (webSocket: WebSocket, ticket: string, peer: Peer) => {
    sockets.add(webSocket, await admission.admitLater(ticket, peer), peer);
  };

  const open = ({ session, peer }: Admitted, request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.off('error', drop);
    // The 101 and the welcome leave together.
    socket.cork();
    endOnce(socket);
    websocketServer.handleUpgrade(request, socket, head, (webSocket) => {
      // `ws` has said why in a close frame, and drops the socket by itself: ending it here would lose the frame.
      webSocket.on('error', (err) => log.debug({ err }, 'socket error'));
      answerPings(webSocket);
      if (session) sockets.add(webSocket, session, peer);
      else awaitTicket(webSocket, (ticket) => addLater(webSocket, ticket, peer), refuseLater(peer), onFault);
    });
    socket.uncork();
  };

  const answer = async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    let admitted: Admitted;
    try {
      if (stopping) throw new BrokerError('overloaded', { reason: 'stopping' });
      admitted = await admission.admit(request);
    } catch (error) {
      if (!socket.destroyed) refuse(error, request, socket, head);
      return;
    }
    open(admitted, request, socket, head);
  };

  server.on('upgrade', (request, socket, head) => {
    // Node has taken its own listener away, and an error without one would end the process.
    socket.on('error', drop);
    const answered = answer(request, socket, head);
    underWay.add(answered);
    void answered.finally(() => underWay.delete(answered));
  });

  return {
    async stop() {
      stopping = true;
      await Promise.all(underWay);
    },
  };
}

function drop(this: Duplex): void {
  this.destroy();
}
