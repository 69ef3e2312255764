import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';
import { fastifyGate, type Gate, type GateSession } from '../../src/gate/gate.ts';

/** A chat node that a gate guards: it tells everybody who they are, and renews on request. */
export interface Guarded extends AsyncDisposable {
  port: number;
  /** URLs of the upgrade requests that it saw, after the gate. */
  urls: string[];
  /** What its sockets were heard to say. */
  heard: string[];
}

function converse(gate: Gate, socket: WebSocket, session: GateSession, heard: string[]): void {
  socket.send(JSON.stringify(session));
  socket.on('message', (data) => {
    heard.push(String(data));
    gate.renew(session, String(data)).then(
      (seconds) => socket.send(JSON.stringify({ seconds })),
      (error) => socket.send(JSON.stringify({ error: error.code })),
    );
  });
}

export async function wsServer(gate: Gate): Promise<Guarded> {
  const urls: string[] = [];
  const heard: string[] = [];
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: gate.selectProtocol });
  const server = createServer();
  server.on('upgrade', async (request, socket, head) => {
    try {
      const session = await gate.authenticate(request);
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        gate.hold(webSocket, session);
        converse(gate, webSocket, session, heard);
      });
    } catch (error) {
      gate.refuse(socket, error);
    }
    urls.push(request.url ?? '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    urls,
    heard,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
      await gate.close();
    },
  };
}

export async function fastifyServer(gate: Gate): Promise<Guarded> {
  const urls: string[] = [];
  const heard: string[] = [];
  // What it logs is looked at as the URLs are.
  const app = fastify({ logger: { stream: { write: (line: string) => void urls.push(line) } } });
  await app.register(fastifyGate, { gate });
  app.addHook('onResponse', async ({ raw }) => void urls.push(raw.url ?? ''));
  app.get('/chat', { websocket: true }, (socket, request) => {
    if (request.ticketSession) converse(gate, socket, request.ticketSession, heard);
  });
  app.get('/plain', async () => 'no socket, no ticket');
  await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    port: (app.server.address() as AddressInfo).port,
    urls,
    heard,
    async [Symbol.asyncDispose]() {
      await app.close();
      await gate.close();
    },
  };
}
