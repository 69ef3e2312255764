import { setTimeout as sleep } from 'node:timers/promises';
import { createTicketSocket, type Token } from '../client/client.ts';
import { historyIn, readable, spoken } from './chat-lines.ts';
import { watchFailures } from './last-failure.ts';
import type { Lines } from './lines.ts';
import { sayPiped } from './piped.ts';
import { jsonLine } from './printable.ts';
import type { Protocol } from './protocol-option.ts';
import { type Screen, screen } from './screen.ts';

export interface ChatOptions {
  /** Of the WebSocket. */
  url: URL;
  protocol: Protocol;
  token: Token;
  /** Joined, for its history and its members; undefined: only heard. */
  room: string | undefined;
  /** Print messages as they come. */
  json: boolean;
  /** What is to be said. */
  lines: Lines;
  /** Milliseconds to go on listening after the end of standard input. */
  lingerMs: number;
  /** Milliseconds that what is piped in waits for a connection. */
  patienceMs: number;
}

/** Messages that are remembered, so that the history of a room that is joined again shows only what was missed. */
const remembered = 2000;

/**
 * An interactive client: what is typed is said in the room, what is said there is printed. It comes back with a fresh ticket
 * whenever its connection is lost. Settles when standard input has ended.
 *
 * @throws Error when there is no use in trying any more, or not all that was to be said has been sent
 */
export async function chat(options: ChatOptions): Promise<void> {
  const { url, protocol, token, room, json, lines, lingerMs, patienceMs } = options;
  const out = screen(lines.editor);
  const failure = watchFailures();
  const how = protocol === false ? { transport: 'query' as const } : { protocol };
  const socket = createTicketSocket({ url, token, ...how });
  const { promise: over, resolve, reject } = Promise.withResolvers<void>();
  const connected = new Promise<void>((begun) => socket.on('welcome', () => begun()));

  socket.on('welcome', ({ username }) => {
    // Other nodes may welcome in words of their own.
    out.note(`connected to ${url.host}${username === undefined ? '' : ` as ${username}`}`);
    if (room !== undefined) socket.send({ type: 'join', room });
  });
  socket.on('status', (status) => {
    if (status.status === 'waiting') {
      const why = [status.why, failure()].filter(Boolean).join(': ');
      out.note(`not connected (${why}): trying again in ${(status.waitMs / 1000).toFixed(1)} s`);
    }
  });
  let complete = true;
  const closed = new AbortController();
  socket.on('closed', ({ reason, why, unsent }) => {
    closed.abort();
    if (unsent.length > 0) {
      out.note(`not sent: ${unsent.length} lines`);
      complete = false;
    }
    if (reason === 'disconnected') resolve();
    else reject(new Error(`closed: ${reason} (${why})`));
  });
  const show = json ? (message: unknown) => out.print(jsonLine(message)) : shower(out, room);
  socket.on('message', show);

  const listen = async () => {
    if (lines.editor) {
      for await (const line of lines) say(line);
      return;
    }
    complete = await sayPiped({ socket, lines, say, patienceMs, closed: closed.signal });
    await connected;
    await sleep(lingerMs, undefined, { signal: closed.signal });
  };
  /** @returns false for what is not sent */
  const say = (line: string): boolean => {
    if (line.trim() === '') return true;
    try {
      // What is said comes back, as everybody sees it.
      if (socket.status.status === 'connected') out.takeBack();
      const taken = socket.send(spoken(line, room));
      if (!taken) out.note('not sent: too much is waiting for the connection');
      return taken;
    } catch (error) {
      out.note(`not sent: ${(error as Error).message}`);
      return false;
    }
  };

  try {
    await Promise.race([over, listen()]);
  } finally {
    socket.close();
  }
  if (!complete) throw new Error('not everything has been sent');
}

function shower(out: Screen, room: string | undefined): (message: unknown) => void {
  const seen = new Set<unknown>();
  const isNew = ({ requestId }: { requestId?: unknown }) => {
    if (requestId === undefined) return true;
    const known = seen.has(requestId);
    seen.add(requestId);
    for (const oldest of seen) {
      if (seen.size <= remembered) break;
      seen.delete(oldest);
    }
    return !known;
  };
  return (message) => {
    const history = historyIn(message).filter(isNew);
    const shown = [message, ...history].flatMap((said) => readable(said, room));
    if (isNew((message ?? {}) as object)) for (const line of shown) out.print(line);
  };
}
