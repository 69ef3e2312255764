/**
 * A chat node that knows nothing of tickets: the proxy in front has had them checked, and says in headers who is there.
 *
 * It follows the broker's feed of revocations, and closes what the feed names. Node 20 or later with `ws` and
 * `eventsource-parser`.
 *
 *     PORT=9000 BROKER_URL=http://127.0.0.1:8080 BROKER_KEY=... node chat-node.js
 *
 * Listens on loopback only: whoever reaches it past the proxy could say that they are anybody.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { WebSocketServer } from 'ws';

const { PORT = '9000', BROKER_URL = 'http://127.0.0.1:8080', BROKER_KEY = '' } = process.env;
const revoked = 3003;
const sessionEnded = 3000;
const live = new Map();

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(PORT), maxPayload: 64 * 1024 });

server.on('connection', (socket, { headers }) => {
  const user = decodeURIComponent(headers['x-auth-request-user']);
  const session = headers['x-auth-request-session'];
  const expires = Number(headers['x-auth-request-expires']);
  live.set(socket, { user, session, authTime: Number(headers['x-auth-request-auth-time']) });
  const end = setTimeout(() => socket.close(sessionEnded), expires * 1000 - Date.now());

  socket.send(JSON.stringify({ type: 'welcome', user }));
  socket.on('message', (data) => {
    if (isReserved(String(data))) return;
    const message = JSON.stringify({ type: 'message', user, text: String(data) });
    for (const other of live.keys()) other.send(message);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    clearTimeout(end);
    live.delete(socket);
  });
});

/** Between a client and its node, and nobody else's: to `session.expiring` a client answers with a fresh ticket. */
function isReserved(text) {
  try {
    return /^(session\.|welcome$)/.test(JSON.parse(text).type);
  } catch {
    return false;
  }
}

function closeRevoked({ sub, issued_before, session_id, reason = 'revoked' }) {
  for (const [socket, { user, session, authTime }] of live) {
    if (session === session_id || (user === sub && authTime <= issued_before)) socket.close(revoked, reason);
  }
}

/** Reads the feed (server-sent events) until it breaks, or is silent for five seconds. @returns where to go on */
async function readFeed(cursor) {
  const silence = new AbortController();
  const silent = setTimeout(() => silence.abort(), 5000);
  let last = cursor;
  try {
    const headers = { authorization: `Bearer ${BROKER_KEY}`, ...(cursor && { 'last-event-id': cursor }) };
    const { ok, status, body } = await fetch(`${BROKER_URL}/revocations`, {
      headers,
      signal: silence.signal,
    });
    if (!ok) throw new Error(`the feed is refused: ${status}`);
    const heartbeats = new EventSourceParserStream({ onComment: () => silent.refresh() });
    for await (const event of body.pipeThrough(new TextDecoderStream()).pipeThrough(heartbeats)) {
      last = event.id;
      closeRevoked(JSON.parse(event.data));
    }
  } catch (error) {
    console.error(error.message);
  } finally {
    clearTimeout(silent);
  }
  return last;
}

console.log(`chat node on ${PORT}`);
for (let cursor; ; await sleep(1000)) cursor = await readFeed(cursor);
