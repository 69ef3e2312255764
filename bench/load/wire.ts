import { connect, type Socket } from 'node:net';

/** One of this machine's loopback addresses, so that clients can come from many. */
export function sourceAddress(index: number): string {
  return `127.0.${1 + (Math.floor(index / 250) % 250)}.${1 + (index % 250)}`;
}

export function dial(port: number, localAddress: string): Socket {
  return connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
}

export function handshake(port: number, target: string, origin: string): string {
  return [
    `GET ${target} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Origin: ${origin}`,
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    '\r\n',
  ].join('\r\n');
}

/** What every server answers the handshake above with (RFC 6455 1.3). */
export const accepted = 'HTTP/1.1 101 Switching Protocols\r\n';
export const acceptKey = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

/** A client's close frame, code 1000, masked with zeros. */
export const closeFrame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
/** The server's answer to it. */
export const closedFrame = Buffer.from([0x88, 0x02, 0x03, 0xe8]);

export function post(port: number, path: string, headers: Record<string, string>, body = ''): string {
  const lines = Object.entries({
    Host: `127.0.0.1:${port}`,
    Connection: 'keep-alive',
    'User-Agent': 'bench',
    ...(body && { 'Content-Type': 'application/json' }),
    'Content-Length': `${Buffer.byteLength(body)}`,
    ...headers,
  });
  const head = lines.map(([name, value]) => `${name}: ${value}`).join('\r\n');
  return `POST ${path} HTTP/1.1\r\n${head}\r\n\r\n${body}`;
}

const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/**
 * What a client does with what a server sends it: answers pings, and says when a close frame has come. Frames that arrive
 * in pieces are none that matter here.
 *
 * @returns the code of a close frame
 */
export function attend(socket: Socket, chunk: Buffer): number | undefined {
  for (let at = 0; at + 2 <= chunk.length; ) {
    const opcode = (chunk[at] ?? 0) & 0x0f;
    const short = (chunk[at + 1] ?? 0) & 0x7f;
    const start = at + (short === 126 ? 4 : 2);
    const length = short === 126 && at + 4 <= chunk.length ? chunk.readUInt16BE(at + 2) : short;
    if (opcode === 9) socket.write(pong);
    if (opcode === 8) return chunk.length >= start + 2 ? chunk.readUInt16BE(start) : 1005;
    at = start + length;
  }
  return undefined;
}
