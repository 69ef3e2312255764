import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, startBroker } from '../support/broker-process.ts';
import { dial, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { startChatNode, statusOf } from '../support/proxies.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await startBroker({
    SERVICE_KEYS_FILE: serviceKeysFile({ node: 'tickets:redeem', root: 'revoke,tickets:mint' }),
  });
});
afterAll(async () => {
  await broker?.stop();
});

const asRoot = async (path: string, body: object) => {
  const answer = await fetch(`${broker.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('root')}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
  return (await answer.json()) as Record<string, string>;
};
const revoke = (target: object) => asRoot('/revocations', target);

/** What the proxy says of somebody, once the broker has let them in. */
const verified = async (sub: string): Promise<Record<string, string>> => {
  const { ticket } = await asRoot('/tickets', { sub });
  const answer = await fetch(`${broker.url}/verify/chat?ticket=${ticket}`);
  expect(answer.status).toBe(200);
  return Object.fromEntries([...answer.headers].filter(([name]) => name.startsWith('x-auth-request-')));
};

describe.each(['python', 'ws'] as const)('the chat node in %s', (kind) => {
  let node: { port: number } & AsyncDisposable;
  let line: TcpProxy;
  beforeAll(async () => {
    line = await startTcpProxy(broker.port);
    node = await startChatNode(kind, {
      BROKER_URL: `http://127.0.0.1:${line.port}`,
      BROKER_KEY: keyOf('node'),
    });
  });
  afterAll(async () => {
    await node?.[Symbol.asyncDispose]();
    await line?.close();
  });

  const arrive = (headers: Record<string, string>) => {
    const socket = new WebSocket(`ws://127.0.0.1:${node.port}`, ['chat'], { headers });
    const heard: Record<string, string>[] = [];
    socket.on('message', (data) => heard.push(JSON.parse(String(data))));
    return { socket, heard, closed: once(socket, 'close').then(([code]) => code as number) };
  };
  const welcomed = async (sub: string) => {
    const visitor = arrive(await verified(sub));
    await until(() => visitor.heard.length > 0, 'the welcome');
    return visitor;
  };
  /** The node has heard of all that was revoked before. */
  const heardOfIt = async () => {
    const { closed } = await welcomed('canary');
    await revoke({ sub: 'canary' });
    expect(await closed).toBe(3003);
  };

  test('closes who arrives after their revocation, verified before', async () => {
    const [bySub, bySession] = [await verified('mallory'), await verified('trudy')];
    await revoke({ sub: 'mallory' });
    await revoke({ session_id: bySession['x-auth-request-session'] });
    await heardOfIt();
    for (const headers of [bySub, bySession]) {
      const { closed, heard } = arrive(headers);
      expect([await closed, heard]).toEqual([3003, []]);
    }
    const again = await welcomed('mallory');
    expect(again.heard).toEqual([{ type: 'welcome', user: 'mallory' }]);
    again.socket.close();
    expect(await again.closed).toBe(1005);
  });

  test('closes whose revocation has a reason that no close frame holds', async () => {
    const { closed } = await welcomed('oscar');
    await revoke({ sub: 'oscar', reason: 'щ'.repeat(100) });
    expect(await closed).toBe(3003);
  });

  test.each([
    ['is revoked', 3003, (sub: string) => revoke({ sub })],
    ['is at its end', 3000, async () => {}],
  ])('neither hears nor keeps who %s and does not answer the close', async (_how, code, ended) => {
    const hearer = await welcomed('bob');
    const peer = await dial(node.port);
    peer.on('error', () => {});
    const gone = new Promise<void>((resolve) => peer.once('close', () => resolve()));
    let received = Buffer.alloc(0);
    peer.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
    const headers = await verified('eve');
    if (code === 3000) headers['x-auth-request-expires'] = `${Math.floor(Date.now() / 1000) + 1}`;
    peer.write(handshake({ headers }));
    await until(() => received.includes('"welcome"'), 'the welcome');
    await ended('eve');
    const closeFrame = Buffer.from([0x88, 2, code >> 8, code & 255]);
    await until(() => received.includes(closeFrame), 'the close frame');
    const since = performance.now();
    peer.write(frame('still here'));
    await gone;
    // After two seconds, by itself: the libraries leave it to themselves after 10 (websockets) and 30 (ws).
    expect(performance.now() - since).toBeLessThan(8000);
    hearer.socket.send('is she?');
    await until(() => hearer.heard.length > 1, 'what is said');
    expect(hearer.heard.slice(1)).toEqual([{ type: 'message', user: 'bob', text: 'is she?' }]);
    hearer.socket.terminate();
  });

  test('admits nobody while it cannot follow the feed, and then knows what was revoked meanwhile', async () => {
    const [there, onTheWay] = [await welcomed('carol'), await verified('carol')];
    line.pointTo(1);
    line.cut();
    await revoke({ sub: 'carol' });
    await until(async () => (await statusOf(node)) === 503, 'it admits nobody');
    line.pointTo(broker.port);
    expect(await there.closed).toBe(3003);
    await until(async () => (await statusOf(node)) === 101, 'it admits people');
    expect(await arrive(onTheWay).closed).toBe(3003);
  });

  test('nor where the broker has only stopped talking, or does not take its key', async () => {
    line.goSilent();
    await until(async () => (await statusOf(node)) === 503, 'it admits nobody');
    await until(async () => (await statusOf(node)) === 101, 'it has tried another connection');
    await using stranger = await startChatNode(
      kind,
      { BROKER_URL: broker.url, BROKER_KEY: 'unknown' },
      { admits: false },
    );
    expect(await statusOf(stranger)).toBe(503);
  });

  test('goes on after a feed that was cut inside a chunk', async () => {
    const feeds: ServerResponse[] = [];
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const heart = setInterval(() => response.write(': current\n\n'), 100);
      response.on('close', () => clearInterval(heart));
      feeds.push(response);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    await using fed = await startChatNode(kind, {
      BROKER_URL: `http://127.0.0.1:${port}`,
      BROKER_KEY: 'any',
    });
    feeds[0]?.socket?.end('40\r\n: curr');
    await until(() => feeds.length > 1, 'another feed');
    await until(async () => (await statusOf(fed)) === 101, 'it admits people');
    server.close();
    server.closeAllConnections();
  });
});

/** A text frame, masked, as a client has to, with zeros. */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}
