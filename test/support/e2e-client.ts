import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import {
  createTicketSocket,
  type Status,
  type TicketSocket,
  type TicketSocketEvents,
  type TicketSocketOptions,
} from '../../src/client/client.ts';
import { selectProtocol } from '../../src/ws/handshake.ts';
import type { BrokerProcess } from './broker-process.ts';
import { until } from './e2e-until.ts';

/** Short, so that tests need not wait; what it does with them is the same. */
export const shortBackoff = { baseMs: 20, capMs: 200 };

export interface Watched extends Disposable {
  socket: TicketSocket;
  /** Every status it has been in, the first one left out. */
  statuses: Status[];
  welcomes: TicketSocketEvents['welcome'][];
  messages: unknown[];
  closed: TicketSocketEvents['closed'][];
  /** What it has said for its log. */
  lines: string[];
  /** Waits for as many welcomes in all. */
  welcomed(times?: number): Promise<void>;
  /** Waits for its end. @returns why */
  end(): Promise<TicketSocketEvents['closed']>;
  /** What it has waited for, and how long. */
  waits(): { why: string; waitMs: number }[];
}

/** A client of Node's, whose events are kept. Closed when it goes out of scope. */
export function watched(options: TicketSocketOptions): Watched {
  const lines: string[] = [];
  const socket = createTicketSocket({ backoff: shortBackoff, log: (line) => lines.push(line), ...options });
  const seen = {
    socket,
    lines,
    statuses: [] as Status[],
    welcomes: [] as TicketSocketEvents['welcome'][],
    messages: [] as unknown[],
    closed: [] as TicketSocketEvents['closed'][],
  };
  socket.on('status', (status) => seen.statuses.push(status));
  socket.on('welcome', (welcome) => seen.welcomes.push(welcome));
  socket.on('message', (message) => seen.messages.push(message));
  socket.on('closed', (closed) => seen.closed.push(closed));
  /** Waits, and says what has happened instead. */
  const told = (holds: () => boolean, what: string) =>
    until(holds, what).catch((cause) => {
      throw new Error(lines.join('\n'), { cause });
    });
  return {
    ...seen,
    welcomed: (times = 1) => told(() => seen.welcomes.length >= times, `${times} welcomes`),
    async end() {
      await told(() => seen.closed.length > 0, 'the client gives up');
      return seen.closed[0] as TicketSocketEvents['closed'];
    },
    waits: () =>
      seen.statuses.flatMap((status) =>
        status.status === 'waiting' ? [{ why: status.why, waitMs: status.waitMs }] : [],
      ),
    [Symbol.dispose]: () => socket.close(),
  };
}

/** The same at a broker, as alice. */
export function watchedAt(broker: BrokerProcess, options: Partial<TicketSocketOptions> = {}): Watched {
  return watched({ url: `${broker.url}/ws`, token: () => broker.token(), ...options });
}

/** A chat node of somebody else's, which does what a test says. */
export interface ChatNode {
  url: string;
  /** The request line's URL and the offered subprotocols of each handshake. */
  handshakes: { url: string; protocols: string }[];
  received: string[];
  /** To all who are connected. */
  say(text: string): void;
  close(code: number, reason?: string): void;
  /** Begins to close all connections (3000), as over a slow link: settles when the peers have answered, and none is closed. */
  beginClose(): Promise<void>;
  connections(): number;
  stop(): Promise<void>;
}

export async function startChatNode(): Promise<ChatNode> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: selectProtocol });
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const connections = new Set<Socket>();
  const node: ChatNode = {
    url: `ws://127.0.0.1:${port}/ws`,
    handshakes: [],
    received: [],
    say: (text) => {
      for (const client of server.clients) client.send(text);
    },
    close: (code, reason) => {
      for (const client of server.clients) client.close(code, reason);
    },
    async beginClose() {
      for (const connection of connections) {
        connection.removeAllListeners('data');
        // RFC 6455 5.5.1
        connection.write(Buffer.from([0x88, 2, 3000 >> 8, 3000 & 255]));
        await once(connection, 'data');
      }
    },
    connections: () => server.clients.size,
    async stop() {
      for (const client of server.clients) client.terminate();
      server.close();
      await once(server, 'close');
    },
  };
  server.on('connection', (socket, { url = '', headers, socket: connection }) => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    node.handshakes.push({ url, protocols: headers['sec-websocket-protocol'] ?? '' });
    socket.on('message', (data) => node.received.push(String(data)));
  });
  return node;
}
