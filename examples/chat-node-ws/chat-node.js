/**
 * A chat node that knows nothing of tickets: the proxy in front has had them checked, and says in headers who is there.
 *
 * It follows the broker's feed of revocations, closes what the feed names, and admits nobody while it cannot follow. Node 20
 * or later with `ws` and `eventsource-parser`.
 *
 *     PORT=9000 BROKER_URL=http://127.0.0.1:8080 BROKER_KEY=... node chat-node.js
 *
 * BROKER_KEY is a service key of any scope but `tickets:mint`, such as `tickets:redeem`.
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
/** Revocations of the last two minutes: a handshake that was verified before one of them may arrive after it. */
const recent = new Set();
/** By `performance.now()`: until then, `recent` is all that is to be known. */
let currentUntil = 0;

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(PORT),
  maxPayload: 64 * 1024,
  // Each part of a message takes memory until the message is whole.
  maxFragments: 128,
  maxBufferedChunks: 1024,
  verifyClient: (_info, admit) => admit(performance.now() < currentUntil, 503),
});

server.on('connection', (socket, { headers }) => {
  const user = decodeURIComponent(headers['x-auth-request-user']);
  const session = headers['x-auth-request-session'];
  const expires = Number(headers['x-auth-request-expires']);
  const who = { user, session, authTime: Number(headers['x-auth-request-auth-time']) };
  socket.on('error', () => {});
  if ([...recent].some((revocation) => reaches(revocation, who))) return end(socket, revoked);
  live.set(socket, who);
  const over = setTimeout(() => end(socket, sessionEnded), expires * 1000 - Date.now());

  socket.send(JSON.stringify({ type: 'welcome', user }));
  socket.on('message', (data) => {
    if (!live.has(socket) || isReserved(String(data))) return;
    const message = JSON.stringify({ type: 'message', user, text: String(data) });
    for (const other of live.keys()) other.send(message);
  });
  socket.on('close', () => {
    clearTimeout(over);
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

/** Whoever is closed has no say any more, and is hung up on when they do not answer. */
function end(socket, code) {
  live.delete(socket);
  socket.close(code);
  setTimeout(() => socket.terminate(), 2000);
}

function reaches({ sub, issued_before, session_id }, { user, session, authTime }) {
  return session === session_id || (user === sub && authTime <= issued_before);
}

function revoke(revocation) {
  recent.add(revocation);
  setTimeout(() => recent.delete(revocation), 120_000);
  for (const [socket, who] of live) if (reaches(revocation, who)) end(socket, revoked);
}

/** Reads the feed (server-sent events) until it breaks, or is silent for five seconds. @returns where to go on */
async function readFeed(cursor) {
  const silence = new AbortController();
  const silent = setTimeout(() => silence.abort(), 5000);
  const onComment = (comment) => {
    silent.refresh();
    // Each second: this is all there is.
    if (comment.trim() === 'current') currentUntil = performance.now() + 3000;
  };
  let last = cursor;
  try {
    const headers = { authorization: `Bearer ${BROKER_KEY}`, ...(cursor && { 'last-event-id': cursor }) };
    const { ok, status, body } = await fetch(`${BROKER_URL}/revocations`, {
      headers,
      signal: silence.signal,
    });
    if (!ok) throw new Error(`the feed is refused: ${status}`);
    const events = new EventSourceParserStream({ onComment });
    for await (const event of body.pipeThrough(new TextDecoderStream()).pipeThrough(events)) {
      last = event.id;
      revoke(JSON.parse(event.data));
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
