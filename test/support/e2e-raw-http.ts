import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  /** What came after the headers. */
  text: string;
  /** The body as JSON; undefined where it is none. */
  body: { error?: string; error_description?: string; status?: string } | undefined;
}

/** A well-formed opening handshake, with whatever is to be wrong about it; `undefined` leaves a header out. */
export function handshake({
  method = 'GET',
  target = '/ws',
  headers = {},
}: {
  method?: string;
  target?: string;
  headers?: Record<string, string | undefined>;
} = {}): string {
  const all = {
    Host: '127.0.0.1',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}: ${value}`,
  );
  return `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

/** A TCP connection, from another address of this machine's loopback network if wanted. */
export async function dial(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes and reads one answer, which is whole after its Content-Length, or after the headers of a 101. */
export async function exchange(socket: Socket, bytes: string | Buffer, seconds = 30): Promise<RawAnswer> {
  let received = '';
  const answered = new Promise<RawAnswer>((resolve, reject) => {
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      received += text;
      const answer = parse(received);
      if (answer) resolve(answer);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(received)}`)));
  });
  const timer = new AbortController();
  const late = sleep(seconds * 1000, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`no answer within ${seconds} s`);
  });
  socket.write(bytes);
  try {
    return await Promise.race([answered, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}

/** Dials, sends, reads and hangs up. */
export async function ask(port: number, bytes: string | Buffer, localAddress?: string): Promise<RawAnswer> {
  const socket = await dial(port, localAddress);
  try {
    return await exchange(socket, bytes);
  } finally {
    socket.on('error', () => {});
    socket.destroy();
  }
}

function parse(received: string): RawAnswer | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = received.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const text = received.slice(end + 4);
  const status = Number(statusLine.split(' ')[1]);
  if (status !== 101 && text.length < Number(headers['content-length'] ?? 0)) return undefined;
  return { status, headers, text, body: json(text) };
}

function json(text: string): RawAnswer['body'] {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
