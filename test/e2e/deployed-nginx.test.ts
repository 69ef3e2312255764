import { once } from 'node:events';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { json, text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { secretsIn, startBroker } from '../support/broker-process.ts';
import { startDeployedNginx } from '../support/deployed-nginx.ts';
import { freePort } from '../support/redis-server.ts';

/** Takes a handshake and dies of it. */
async function startDyingNode(received: string[]) {
  const node = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      received.push(String(data).split('\r\n', 1)[0] ?? '');
      socket.resetAndDestroy();
    });
  }).listen(0, '127.0.0.1');
  await once(node, 'listening');
  return {
    port: (node.address() as AddressInfo).port,
    [Symbol.dispose]: () => void node.close(),
  };
}

interface Opened {
  status: number | undefined;
  retryAfter?: string | undefined;
  body?: unknown;
}

const knock = (port: number, path: string) =>
  new Promise<Opened>((resolve, reject) => {
    const handshake = request({
      port,
      path,
      host: '127.0.0.1',
      servername: 'localhost',
      agent: false,
      rejectUnauthorized: false,
      headers: {
        Host: 'localhost',
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    });
    handshake.on('error', reject);
    handshake.on('upgrade', ({ statusCode }, socket) => {
      socket.destroy();
      resolve({ status: statusCode });
    });
    handshake.on('response', async (response) =>
      resolve({
        status: response.statusCode,
        retryAfter: response.headers['retry-after'],
        body: await json(response).catch(() => undefined),
      }),
    );
    handshake.end();
  });

/** A plain request for a path as it is written, with nothing done to it. */
const get = (port: number, path: string) =>
  new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const asked = request({ port, path, host: '127.0.0.1', agent: false, rejectUnauthorized: false });
    asked.on('error', reject);
    asked.on('response', async (response) =>
      resolve({ status: response.statusCode, text: await text(response) }),
    );
    asked.end();
  });

const nobody = {
  status: 503,
  retryAfter: '1',
  body: { error: 'overloaded', error_description: expect.any(String) },
};

test('a handshake that a node has got is sent to no other, also where one before it could not be reached', async () => {
  const received: string[] = [];
  using first = await startDyingNode(received);
  using second = await startDyingNode(received);
  const ws = [await freePort(), first.port, second.port];
  await using door = await startDeployedNginx({ http: [await freePort()], ws });
  const ticket = `wst_${'A'.repeat(43)}`;
  expect(await knock(door.port, `/ws?ticket=${ticket}`)).toEqual(nobody);
  expect(received).toEqual([`GET /ws?ticket=${ticket} HTTP/1.1`]);
  expect(secretsIn(await door.accessLog())).toEqual([]);
});

test('nodes that cannot be reached are passed over', async () => {
  const broker = await startBroker({ TRUST_PROXY: '127.0.0.1' });
  try {
    const ws = [await freePort(), await freePort(), await freePort(), broker.port];
    await using door = await startDeployedNginx({ http: [broker.port], ws });
    const { ticket } = await broker.mint();
    expect(await knock(door.port, `/ws?ticket=${ticket}`)).toEqual({ status: 101 });
  } finally {
    await broker.stop();
  }
});

test('where none can be reached, that is what the client is told, and when to come back', async () => {
  const none = await Promise.all(Array.from({ length: 12 }, () => freePort()));
  await using door = await startDeployedNginx({ http: none.slice(0, 1), ws: none });
  expect(await knock(door.port, '/ws')).toEqual(nobody);
  // And when nginx knows it already.
  expect(await knock(door.port, '/ws')).toEqual(nobody);
});

test('where their name stands for none, too', async () => {
  await using door = await startDeployedNginx({ http: [await freePort()], ws: [] });
  expect(await knock(door.port, '/ws')).toEqual(nobody);
});

test('nobody outside reaches /verify, where the nodes behind it are of both tiers', async () => {
  await using broker = await startBroker({ TRUST_PROXY: '127.0.0.1' });
  await using door = await startDeployedNginx({ http: [broker.port], ws: [broker.port] });
  const { ticket } = await broker.mint();
  const spellings = [
    ...['/verify', '/verify/', '/verify/chat', '//verify', '/%76erify', '/verif%79/chat', '/verify%2Fchat'],
    ...['/verify%3F', '/verify;', '/ws/../verify', '/./verify', '/verify#'],
  ];
  for (const path of spellings) {
    const { status, text } = await get(door.port, `${path}?ticket=${ticket}`);
    expect([path, status, text]).toEqual([path, 404, expect.not.stringContaining('invalid_ticket')]);
  }
  expect(broker.decisions().filter(({ decision }) => decision === 'redeem')).toEqual([]);
  // Only what is named: the broker itself says of all else that there is no such call.
  expect((await get(door.port, '/verifyfoo')).text).toContain('"not_found"');
  expect(await knock(door.port, `/ws?ticket=${ticket}`)).toEqual({ status: 101 });
});
