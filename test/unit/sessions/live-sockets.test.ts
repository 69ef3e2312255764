import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { liveSessions } from '../../../src/sessions/live-sessions.ts';
import { liveSockets } from '../../../src/sessions/live-sockets.ts';
import { memoryFeed } from '../../../src/store/memory-feed.ts';
import { memoryRegistry } from '../../../src/store/memory-registry.ts';

const now = () => Date.now();
const log = { info() {}, warn() {}, error() {} };

test('pings to thousands leave others their turns, and drop who has not answered by the next', async () => {
  const [count, pingInterval] = [1200, 1000];
  const sessions = liveSessions({
    now,
    log,
    recordEnd() {},
    feed: memoryFeed({ now, retention: 60_000 }),
    registry: memoryRegistry(now),
    node: 'test',
    maxPerSubject: 0,
    endSessions: async () => {},
  });
  const sockets = liveSockets({
    now,
    log: log as never,
    metrics: { socketOpened() {}, socketClosed() {} },
    sessions,
    refresh: async () => {
      throw new Error('nobody asks');
    },
    enter: undefined,
    messageLimit: 20,
    pingInterval,
  });
  let pinged = 0;
  let inOneTurn: number | undefined;
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    const { ping } = socket;
    vi.spyOn(socket, 'ping').mockImplementation((...args: []) => {
      if (++pinged === 1) setImmediate(() => (inOneTurn = pinged));
      ping.apply(socket, args);
    });
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = async (autoPong: boolean) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { autoPong });
    await once(socket, 'open');
    return socket;
  };
  const [deaf, ...others] = await Promise.all(Array.from({ length: count }, (_, n) => open(n > 0)));
  const left = once(deaf as WebSocket, 'close');
  for (const [n, socket] of [...server.clients].entries()) {
    const record = { sub: `user-${n}`, username: `user-${n}`, auth_time: 0, session_ttl: 3600 };
    const session = { session_id: `session-${n}`, record, deadline: now() + 3_600_000, exp: 0 };
    sockets.add(socket, session, { ip: '192.0.2.1', origin: undefined, via: 'ws' });
  }

  expect(await left).toEqual([1006, expect.anything()]);
  expect(inOneTurn).toBe(500);
  expect(pinged).toBeGreaterThanOrEqual(count);
  expect(others.filter(({ readyState }) => readyState !== WebSocket.OPEN)).toEqual([]);
  const closing = sockets.closeAll(100);
  await closing;
  server.close();
});
