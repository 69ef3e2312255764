import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { readConfig } from '../../../src/config.ts';
import { createServer } from '../../../src/http/server.ts';

test('who waits for an answer that takes long is not hung up on', { timeout: 40_000 }, async () => {
  const app = await createServer(
    readConfig({ HANDSHAKE_TIMEOUT: '1', REDIS_COMMAND_TIMEOUT: '100' }),
    pino({ level: 'silent' }),
  );
  // Twice the 6.6 s after which a connection counts as silent.
  app.get('/slow', () => setTimeout(14_000, 'done'));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  expect(await (await fetch(`${url}/slow`)).text()).toBe('done');
  await app.close();
});

test('who reads nothing of what it has asked for is hung up on', { timeout: 40_000 }, async () => {
  const app = await createServer(
    readConfig({ HANDSHAKE_TIMEOUT: '1', REDIS_COMMAND_TIMEOUT: '100' }),
    pino({ level: 'silent' }),
  );
  // More than what a system holds for two connections.
  app.get('/much', async () => Buffer.alloc(64 * 1024 * 1024));
  await app.listen({ host: '127.0.0.1', port: 0 });
  const served = once(app.server, 'connection');
  const { port } = app.server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  socket.pause().write('GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  const [connection] = await served;
  await once(connection, 'close');
  expect(connection.destroyed).toBe(true);
  socket.destroy();
  await app.close();
});

test('what is not to be asked for beside another answer is not begun', async () => {
  const app = await createServer(readConfig({}), pino({ level: 'silent' }));
  let begun = 0;
  app.get('/much', { onRequest: app.unlessOwing }, async () => `${++begun}`);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  socket.resume().write('GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(5));
  await closed;
  expect(begun).toBe(0);
  await app.close();
});
