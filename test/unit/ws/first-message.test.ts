import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { drain } from '../../../src/sessions/drain.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import type { Store } from '../../../src/store/store.ts';
import { testApp } from '../../support/app.ts';

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
