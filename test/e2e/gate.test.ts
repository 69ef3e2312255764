import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type Gate, openGate } from '../../src/gate/gate.ts';
import { createLogger } from '../../src/logger.ts';
import { type BrokerProcess, secretsIn, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, dial, exchange, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { fastifyServer, type Guarded, wsServer } from '../support/guarded-servers.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const unknown = `wst_${'A'.repeat(43)}`;
let addresses = 0;
const someAddress = () => ({ 'X-Forwarded-For': `198.51.${++addresses >> 8}.${addresses & 255}` });
const target = (ticket: string, more = '') => `/chat?ticket=${ticket}${more}`;

let store: NodeJS.ProcessEnv;
let broker: BrokerProcess;
/** Of the same deployment; the sessions of its tickets are short. */
let brief: BrokerProcess;
beforeAll(async () => {
  store = sharedStore(inject('redisUrl'));
  const env = {
    ...store,
    ATTEMPT_LIMIT: '0',
    SERVICE_KEYS_FILE: serviceKeysFile({
      node: 'tickets:redeem',
      root: 'revoke,sessions:read',
      minter: 'tickets:mint',
    }),
  };
  broker = await startBroker(env);
  brief = await startBroker({ ...env, SESSION_TTL: '3' });
});
afterAll(async () => {
  await broker?.stop();
  await brief?.stop();
});

const sources = {
  Redis: () => ({ redis: store['REDIS_URL'] ?? '', keyPrefix: store['KEY_PREFIX'] ?? '', attemptLimit: 3 }),
  'the broker': () => ({ broker: broker.url, serviceKey: keyOf('node') }),
};
const servers = { ws: wsServer, Fastify: fastifyServer };
const cases = Object.entries(sources).flatMap(([from, source]) =>
  Object.entries(servers).map(([on, serve]) => ({ from, on, source, serve })),
);

async function revoke(target: object): Promise<void> {
  const answer = await fetch(`${broker.url}/revocations`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('root')}`, 'content-type': 'application/json' },
    body: JSON.stringify(target),
  });
  expect(answer.status).toBe(200);
}

describe.each(cases)('a gate that asks $from, in front of $on', ({ source, serve }) => {
  const lines: string[] = [];
  let gate: Gate;
  let node: Guarded;
  beforeAll(async () => {
    const write = (chunk: Buffer, _encoding: string, done: () => void) => {
      lines.push(String(chunk));
      done();
    };
    gate = openGate({
      ...source(),
      audience: 'chat',
      allowedOrigins: ['https://app.example'],
      trustProxy: ['127.0.0.1'],
      log: createLogger('debug', new Writable({ write })),
    });
    node = await serve(gate);
    await until(() => gate.ready, 'the gate is ready');
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  const connect = async (query: string, protocols: string[] = []) => {
    const socket = new WebSocket(`ws://127.0.0.1:${node.port}/chat${query}`, protocols);
    socket.on('error', () => {});
    const [data] = await once(socket, 'message');
    return { socket, session: JSON.parse(String(data)) };
  };
  /** Each from an address of its own, unless told otherwise: refusals count. */
  const knock = (path: string, headers = {}) =>
    ask(node.port, handshake({ target: path, headers: { ...someAddress(), ...headers } }));

  test('a ticket opens a socket, once', async () => {
    const { ticket } = await broker.mint({ rooms: ['lobby'], context: { plan: 'pro' } });
    const { socket, session } = await connect(`?ticket=${ticket}&room=lobby`);
    expect(session).toMatchObject({
      sub: 'alice',
      username: 'alice',
      rooms: ['lobby'],
      room: 'lobby',
      context: { plan: 'pro' },
      session_id: expect.stringMatching(/^[\w-]{22}$/),
    });
    expect(session.exp * 1000).toBeGreaterThan(Date.now() + 3_000_000);
    socket.close();
    expect(await knock(target(ticket))).toMatchObject({
      status: 401,
      headers: { 'cache-control': 'no-store', 'www-authenticate': 'Bearer' },
      body: { error: 'invalid_ticket' },
    });
  });

  test('a ticket as subprotocol is not echoed', async () => {
    const { ticket } = await broker.mint();
    const { socket } = await connect('', ['chat', `ticket.${ticket}`]);
    expect(socket.protocol).toBe('chat');
    socket.close();
  });

  test('a hundred at once with one ticket: one gets in', async () => {
    const { ticket } = await broker.mint();
    const answers = await Promise.all(Array.from({ length: 100 }, () => knock(target(ticket))));
    expect(answers.map(({ status }) => status).sort()).toEqual([101, ...Array(99).fill(401)]);
  });

  test('what does not fit is refused, and stays unspent', async () => {
    const other = await broker.mint({ aud: 'billing' });
    expect(await knock(target(other.ticket))).toMatchObject({
      status: 403,
      // As it does: a proxy that keeps connections has to know.
      headers: { connection: 'close' },
      body: { error: 'binding_mismatch' },
    });
    const { ticket } = await broker.mint({ rooms: ['lobby'] });
    const refused = await knock(target(ticket, '&room=cellar'));
    expect(refused).toMatchObject({ status: 403, body: { error: 'room_forbidden' } });
    expect((await knock(target(ticket), { Origin: 'https://evil.example' })).status).toBe(403);
    expect((await knock(target(ticket), { 'Sec-WebSocket-Key': undefined })).status).toBe(400);
    expect((await knock(target(ticket), { Origin: 'https://app.example' })).status).toBe(101);
  });

  test.each(['ticket_id', 'session_id', 'sub'])(
    'a revocation by %s closes the socket with 3003',
    async (by) => {
      const { ticket, ticket_id } = await broker.mint();
      const { socket, session } = await connect(`?ticket=${ticket}`);
      const closed = once(socket, 'close');
      const target = { ticket_id, session_id: session.session_id, sub: 'bob' };
      if (by === 'sub') {
        // Alice's token is needed for the tests that follow: somebody else is revoked, and then she is not.
        const bob = await mintFor('bob');
        const { socket: his } = await connect(`?ticket=${bob}`);
        const gone = once(his, 'close');
        await revoke({ sub: 'bob', reason: 'left' });
        expect(String((await gone)[1])).toBe('left');
        expect(socket.readyState).toBe(WebSocket.OPEN);
        socket.close();
      } else await revoke({ [by]: target[by as 'ticket_id'] });
      expect((await closed)[0]).toBe(by === 'sub' ? 1005 : 3003);
    },
  );

  test('a peer that does not answer the close is dropped, and not heard meanwhile', async () => {
    const { ticket, ticket_id } = await broker.mint();
    const socket = await dial(node.port);
    socket.on('error', () => {});
    const gone = once(socket, 'close');
    socket.write(handshake({ target: target(ticket), headers: someAddress() }));
    await once(socket, 'data');
    const say = (text: string) =>
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]));
    say('before');
    await expect.poll(() => node.heard).toContain('before');
    let received = '';
    socket.setEncoding('latin1').on('data', (text) => {
      received += text;
    });
    await revoke({ ticket_id });
    // The code of the close frame, 3003.
    await expect.poll(() => received).toContain('\x0b\xbb');
    say('after');
    await gone;
    expect(node.heard).not.toContain('after');
  });

  test('a session ends in time with 3000, unless a fresh ticket of the same subject renews it', async () => {
    const answerTo = async (socket: WebSocket, ticket: string) => {
      socket.send(ticket);
      return JSON.parse(String((await once(socket, 'message'))[0]));
    };
    // All of them beforehand: three seconds are soon over on a busy machine.
    const [erin, erinLater] = [await mintFor('erin', brief), await mintFor('erin')];
    const { socket: erins } = await connect(`?ticket=${erin}`);
    expect((await answerTo(erins, erinLater)).seconds).toBeGreaterThan(1000);
    const [dave, carol] = [await mintFor('dave'), await mintFor('carol', brief)];
    const { socket: carols } = await connect(`?ticket=${carol}`);
    const closed = once(carols, 'close');
    expect(await answerTo(carols, dave)).toEqual({ error: 'binding_mismatch' });
    expect((await closed)[0]).toBe(3000);
    expect(erins.readyState).toBe(WebSocket.OPEN);
    erins.close();
  });

  test('guessing costs the guesser its attempts, by the forwarded address', async () => {
    const from = someAddress();
    const statuses: number[] = [];
    for (let n = 0; n < 4; n++) statuses.push((await knock(target(unknown), from)).status);
    // The broker of this test counts none.
    expect(statuses).toEqual([401, 401, 401, 'redis' in source() ? 429 : 401]);
  });

  test('a client that hangs up in the middle harms nobody', async () => {
    for (let n = 0; n < 20; n++) {
      const { ticket } = await broker.mint();
      const socket = await dial(node.port);
      socket.on('error', () => {});
      socket.write(handshake({ target: target(ticket) }));
      socket.resetAndDestroy();
    }
    const { ticket } = await broker.mint();
    expect((await knock(target(ticket))).status).toBe(101);
  });

  test('neither its log nor what the node sees of the request holds a ticket', () => {
    expect(lines.filter((line) => line.includes('"granted":true')).length).toBeGreaterThan(3);
    expect(node.urls.filter((url) => url.includes('/chat')).length).toBeGreaterThan(3);
    expect(secretsIn(lines.join('') + node.urls.join('\n'))).toEqual([]);
  });
});

test('sessions of a gate on Redis are listed as those of a broker are, and leave the list', async () => {
  const gate = openGate(sources.Redis());
  await using node = await wsServer(gate);
  await until(() => gate.ready, 'the gate is ready');
  const ticket = await mintFor('frank');
  const socket = await firstMessage(node.port, ticket);
  const listed = async () => {
    const answer = await fetch(`${broker.url}/sessions?sub=frank`, {
      headers: { authorization: `Bearer ${keyOf('root')}` },
    });
    return ((await answer.json()) as { sessions: unknown[] }).sessions;
  };
  await until(async () => (await listed()).length === 1, 'it is listed');
  socket.close();
  await until(async () => (await listed()).length === 0, 'it is not listed any more');
});

describe('when the broker cannot be asked', () => {
  test('everybody is refused with 503, also while the feed is silent, and let in again afterwards', async () => {
    const wire = await startTcpProxy(broker.port);
    const gate = openGate({ broker: `http://127.0.0.1:${wire.port}`, serviceKey: keyOf('node') });
    await using node = await wsServer(gate);
    await until(() => gate.ready, 'the gate is ready');
    wire.swallowReplies();
    await until(() => !gate.ready, 'the silence is noticed');
    const { ticket, ticket_id } = await broker.mint();
    const refused = await ask(node.port, handshake({ target: target(ticket) }));
    expect(refused).toMatchObject({ status: 503, body: { error: 'store_unavailable' } });
    expect(refused.headers['retry-after']).toBeDefined();
    await revoke({ ticket_id });
    const other = await broker.mint();
    wire.cut();
    await until(() => gate.ready, 'the gate is ready again');
    expect((await ask(node.port, handshake({ target: target(ticket) }))).status).toBe(401);
    expect((await ask(node.port, handshake({ target: target(other.ticket) }))).status).toBe(101);
    await wire.close();
  });

  test('a lost answer is asked for again, and the ticket not lost', async () => {
    const wire = await startTcpProxy(broker.port);
    let asked = 0;
    // The first answer never arrives: the connection breaks once the broker has it.
    const realFetch = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      const answer = await realFetch(input, init);
      if (String(input).endsWith('/tickets/redeem') && ++asked === 1) throw new TypeError('fetch failed');
      return answer;
    };
    try {
      const gate = openGate({ broker: `http://127.0.0.1:${wire.port}`, serviceKey: keyOf('node') });
      await using node = await wsServer(gate);
      await until(() => gate.ready, 'the gate is ready');
      const { ticket } = await broker.mint();
      expect((await ask(node.port, handshake({ target: target(ticket) }))).status).toBe(101);
      expect(asked).toBe(2);
      expect((await ask(node.port, handshake({ target: target(ticket) }))).status).toBe(401);
    } finally {
      globalThis.fetch = realFetch;
      await wire.close();
    }
  });

  test('no redirect is followed, neither of the feed nor of the question that holds the ticket', async () => {
    const reached: string[] = [];
    const elsewhere = createServer((request, response) => {
      reached.push(request.url ?? '');
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    const lost = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
    // What stands between sends one path away, method and body included, and brings the rest of it from the broker.
    const asked: string[] = [];
    let astray = '/revocations';
    const front = createServer(async (request, response) => {
      const path = request.url ?? '';
      asked.push(path);
      if (path === astray) {
        response.writeHead(307, { location: `${lost}${path}` }).end();
        return;
      }
      const { authorization = '' } = request.headers;
      const feed = await fetch(`${broker.url}${path}`, { headers: { authorization } });
      response.writeHead(feed.status, { 'content-type': 'text/event-stream' });
      for await (const chunk of feed.body ?? []) response.write(chunk);
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    try {
      const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
      const gate = openGate({ broker: url, serviceKey: keyOf('node') });
      await using node = await wsServer(gate);
      await until(() => asked.length > 1, 'the feed is asked for, and again');
      expect(gate.ready).toBe(false);
      astray = '/tickets/redeem';
      await until(() => gate.ready, 'the gate is ready');
      const { ticket } = await broker.mint();
      expect((await ask(node.port, handshake({ target: target(ticket) }))).status).toBe(503);
      expect(asked).toContain('/tickets/redeem');
      expect(reached).toEqual([]);
    } finally {
      for (const server of [front, elsewhere]) {
        server.closeAllConnections();
        server.close();
      }
    }
  });

  test.each(['nobodys-key', keyOf('minter')])(
    "a wrong key is never the client's fault",
    async (serviceKey) => {
      const gate = openGate({ broker: broker.url, serviceKey });
      await using node = await wsServer(gate);
      const { ticket } = await broker.mint();
      expect((await ask(node.port, handshake({ target: target(ticket) }))).status).toBe(503);
      expect(gate.ready).toBe(false);
    },
  );
});

test('a handshake whose target Fastify cannot read is answered, and hung up on', async () => {
  const gate = openGate({ broker: broker.url, serviceKey: keyOf('node') });
  await using node = await fastifyServer(gate);
  const socket = await dial(node.port);
  const closed = once(socket, 'end');
  expect((await exchange(socket, handshake({ target: '/%zz' }))).status).toBe(400);
  await closed;
  socket.destroy();
});

test('a key or URL that cannot be one is refused without being quoted', () => {
  const twoLines = { broker: broker.url, serviceKey: 'old-key\nnew-key' };
  expect(() => openGate(twoLines)).toThrow(/^serviceKey must be one word$/);
  const keyless = { broker: broker.url, serviceKey: undefined as unknown as string };
  expect(() => openGate(keyless)).toThrow(/^serviceKey must be one word$/);
  expect(() => openGate({ broker: 'http://me:secret@broker', serviceKey: 'k' })).toThrow(
    /^broker must be .* without a login$/,
  );
});

test('neither a source that is not there nor origins that no browser sends are taken', () => {
  expect(() => openGate({ redis: undefined as unknown as string })).toThrow(
    /^redis must be a URL as REDIS_URL is: /,
  );
  const source = { broker: broker.url, serviceKey: 'k' };
  for (const allowedOrigins of [['https://app.example/'], ['file://'], [], 'https://app.example' as '*']) {
    expect(() => openGate({ ...source, allowedOrigins })).toThrow(/^allowedOrigins must be origins such as /);
  }
});

test('who has been revoked before the gate holds them is not heard either', async () => {
  const gate = openGate(sources.Redis());
  await until(() => gate.ready, 'the gate is ready');
  await using node = await wsServer(gate);
  const { ticket: early } = await broker.mint();
  const canary = new WebSocket(`ws://127.0.0.1:${node.port}${target(early)}`);
  const [hello] = await once(canary, 'message');
  const heard: string[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer().on('upgrade', async (request, socket, head) => {
    const session = await gate.authenticate(request);
    await revoke({ session_id: session.session_id });
    const gone = once(canary, 'close');
    await revoke({ session_id: JSON.parse(String(hello)).session_id });
    await gone;
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      gate.hold(webSocket, session);
      webSocket.on('message', (data) => heard.push(String(data)));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const { ticket } = await broker.mint();
  const peer = await dial(port);
  const gone = once(peer, 'close');
  peer.write(handshake({ target: target(ticket) }));
  let received = '';
  peer.setEncoding('latin1').on('data', (text) => {
    received += text;
  });
  await expect.poll(() => received, { timeout: 10_000 }).toContain('\x0b\xbb');
  peer.write(Buffer.concat([Buffer.from([0x81, 0x82, 0, 0, 0, 0]), Buffer.from('hi')]));
  await gone;
  expect(heard).toEqual([]);
  server.close();
});

test('a gate on Redis ends the session of a ticket that comes back, and counts all attempts, where it is to', async () => {
  const gate = openGate({
    ...sources.Redis(),
    onReplay: 'close',
    attemptCount: 'all',
    trustProxy: ['127.0.0.1'],
  });
  await using node = await wsServer(gate);
  await until(() => gate.ready, 'the gate is ready');
  const { ticket } = await broker.mint();
  const socket = new WebSocket(`ws://127.0.0.1:${node.port}${target(ticket)}`, { headers: someAddress() });
  await once(socket, 'message');
  const closed = once(socket, 'close');
  const from = someAddress();
  expect((await ask(node.port, handshake({ target: target(ticket), headers: from }))).status).toBe(401);
  expect((await closed)[0]).toBe(3003);

  const statuses: number[] = [];
  for (let n = 0; n < 3; n++) {
    const { ticket: good } = await broker.mint();
    statuses.push((await ask(node.port, handshake({ target: target(good), headers: from }))).status);
  }
  expect(statuses).toEqual([101, 101, 429]);
});

test('a gate reads a feed that is longer than what a reader may leave unread', async () => {
  const keys = serviceKeysFile({ node: 'tickets:redeem', root: 'revoke' });
  await using long = await startBroker({ SERVICE_KEYS_FILE: keys, LOG_LEVEL: 'info' });
  const headers = { authorization: `Bearer ${keyOf('root')}`, 'content-type': 'application/json' };
  for (let n = 0; n < 6000; n += 100) {
    const revoked = Array.from({ length: 100 }, (_, i) => {
      const session_id = String(n + i).padStart(22, 's');
      const body = JSON.stringify({ session_id, reason: 'x'.repeat(100) });
      return fetch(`${long.url}/revocations`, { method: 'POST', headers, body }).then(({ ok }) => ok);
    });
    expect(await Promise.all(revoked)).not.toContain(false);
  }
  const gate = openGate({ broker: long.url, serviceKey: keyOf('node') });
  await until(() => gate.ready, 'the gate is ready', 20);
  await gate.close();
});

/** A ticket for anybody, from a backend. @param at the broker that mints: its SESSION_TTL is the ticket's, too */
async function mintFor(sub: string, at = broker): Promise<string> {
  const answer = await fetch(`${at.url}/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('minter')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sub }),
  });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { ticket: string }).ticket;
}

async function firstMessage(port: number, ticket: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat?ticket=${ticket}`);
  await once(socket, 'message');
  return socket;
}
