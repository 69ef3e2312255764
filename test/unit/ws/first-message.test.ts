import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { drain } from '../../../src/sessions/drain.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import type { Store } from '../../../src/store/store.ts';
import { testApp } from '../../support/app.ts';
import { handshake } from '../../support/e2e-raw-http.ts';

/** The code of the close frame, 3008. */
const closedWith3008 = Buffer.from([0x0b, 0xc0]);

test('a socket that leaves while its ticket is judged becomes no session', async () => {
  const { promise: judged, resolve: judge } = Promise.withResolvers<void>();
  const memory = memoryStore({ now: Date.now });
  const slow: Store = {
    ...memory,
    async redeem(...asked) {
      await judged;
      return memory.redeem(...asked);
    },
  };
  const { app, ticket, metrics, decisions, logs } = await testApp({
    env: { WS_ACCEPT: 'message' },
    store: slow,
  });
  await app.listen({ port: 0 });
  const { ticket: shown, ticket_id } = await ticket();
  const socket = new WebSocket(`ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws`);
  await once(socket, 'open');
  const [served] = app.websocketServer.clients;
  // In one piece: the server reads both at once.
  const raw = Reflect.get(socket, '_socket') as Socket;
  raw.cork();
  socket.send(JSON.stringify({ type: 'ticket_authenticate', ticket: shown }));
  socket.close(1000);
  raw.uncork();
  await once(served as WebSocket, 'close');

  judge();
  await expect
    .poll(decisions)
    .toContainEqual(expect.objectContaining({ ticket_id, granted: true, via: 'message' }));
  expect(await metrics()).toMatch(/^ticket_broker_sockets_open 0$/m);
  expect(logs()).toContain('gone before its session began');
  await app.close();
});

test('a ticket that comes after the time for it is left unspent, and a peer that stays is dropped', async () => {
  const { app, store, ticket, decisions } = await testApp({ env: { WS_ACCEPT: 'message' } });
  await app.listen({ port: 0 });
  const { ticket: shown, ticket_id } = await ticket();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const peer = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  let received = Buffer.alloc(0);
  peer.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
  });
  peer.on('error', () => {});
  const gone = once(peer, 'close');
  peer.write(handshake());
  await expect.poll(() => String(received)).toContain('101 Switching Protocols');
  vi.advanceTimersByTime(5000);
  await expect.poll(() => received.includes(closedWith3008)).toBe(true);

  const message = JSON.stringify({ type: 'ticket_authenticate', ticket: shown });
  peer.write(Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), Buffer.from(message)]));
  const [served] = app.websocketServer.clients;
  await once(Reflect.get(served as WebSocket, '_socket') as Socket, 'data');
  vi.advanceTimersByTime(1000);
  await gone;
  vi.useRealTimers();
  expect(decisions().filter(({ decision }) => decision === 'redeem')).toMatchObject([
    { granted: false, reason: 'no_ticket_in_time' },
  ]);
  expect(await store.revoke(ticket_id, 'holder')).toEqual({ outcome: 'revoked' });
  await app.close();
});

test('a drain does not wait for a socket that is closed already', async () => {
  const { app } = await testApp({ env: { WS_ACCEPT: 'message' } });
  await app.listen({ port: 0 });
  const socket = new WebSocket(`ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws`);
  await once(socket, 'open');
  socket.terminate();
  await once(socket, 'close');
  await drain([socket], 60_000);
  await app.close();
});
