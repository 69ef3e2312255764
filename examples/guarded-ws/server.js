/**
 * A WebSocket server behind the gate. In a clone, `npm run build` first; elsewhere, install `ticket-broker` and `ws`.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 node server.js
 *     BROKER_URL=http://127.0.0.1:8080 BROKER_KEY=... node server.js
 *
 * BROKER_KEY is a service key of scope `tickets:redeem`. Tickets are for `ws://127.0.0.1:9000`, or PORT.
 */
import { createServer } from 'node:http';
import { openGate } from 'ticket-broker/gate';
import { WebSocketServer } from 'ws';

const { REDIS_URL: redis, BROKER_URL: broker, BROKER_KEY: serviceKey, PORT = '9000' } = process.env;
const gate = openGate({ ...(redis ? { redis } : { broker, serviceKey }), log: console });
const sockets = new WebSocketServer({
  noServer: true,
  maxPayload: 65_536,
  // Each part of a message takes memory until the message is whole.
  maxFragments: 128,
  maxBufferedChunks: 1024,
  handleProtocols: gate.selectProtocol,
});
const server = createServer((_request, response) => response.writeHead(gate.ready ? 200 : 503).end());

server.on('upgrade', async (request, socket, head) => {
  const session = await gate.authenticate(request).catch((refusal) => gate.refuse(socket, refusal));
  if (!session) return;
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    gate.hold(webSocket, session);
    webSocket.on('error', () => {});
    webSocket.send(`hello ${session.username}`);
  });
});

server.listen(Number(PORT), '127.0.0.1');
