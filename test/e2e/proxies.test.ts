import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, secretsIn, startBroker } from '../support/broker-process.ts';
import { ask, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { type Door, type ProxyName, startChatNode, startProxy } from '../support/proxies.ts';
import { betweenClientAndNode } from '../support/reserved-messages.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const twice = { VERIFY_URI_HEADER: 'X-Original-URI', VERIFY_REQUEST_ID_HEADER: 'X-Verify-Id' };
/** What each example says that the broker needs. */
const needs: Record<ProxyName, NodeJS.ProcessEnv> = {
  nginx: twice,
  caddy: { VERIFY_URI_HEADER: 'X-Forwarded-Uri' },
  haproxy: twice,
};
const manyRooms = () => Array.from({ length: 100 }, () => randomUUID());
const unknown = `wst_${'A'.repeat(43)}`;

/** A node that takes nobody, and keeps what it was asked. */
async function startWitness() {
  const seen: IncomingMessage[] = [];
  const node = createServer();
  node.on('upgrade', (request, socket) => {
    seen.push(request);
    socket.on('error', () => {}); // a proxy may hang up with a reset
    socket.end('HTTP/1.1 400 Seen\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
  node.listen(0, '127.0.0.1');
  await once(node, 'listening');
  return {
    seen,
    port: (node.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => void node.close(),
  };
}

describe.each(Object.entries(needs) as [ProxyName, NodeJS.ProcessEnv][])('behind %s', (name, need) => {
  const env = {
    ...need,
    TRUST_PROXY: '127.0.0.1',
    SERVICE_KEYS_FILE: serviceKeysFile({ node: 'tickets:redeem', root: 'revoke' }),
  };
  let broker: BrokerProcess;
  let node: { port: number } & AsyncDisposable;
  let proxy: Door;
  beforeAll(async () => {
    broker = await startBroker({ ...env, ATTEMPT_LIMIT: '0' });
    node = await startChatNode('python', { BROKER_URL: broker.url, BROKER_KEY: keyOf('node') });
    proxy = await startProxy(name, { broker: broker.port, node: node.port });
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await node?.[Symbol.asyncDispose]();
    await broker?.stop();
  });

  const dial = async (query: string, protocols: string[] = [], headers = {}, port = proxy.port) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat${query}`, protocols, { headers });
    socket.on('error', () => {});
    const [data] = await once(socket, 'message');
    return { socket, welcome: JSON.parse(String(data)) };
  };
  const knock = (target: string, headers = {}) => ask(proxy.port, handshake({ target, headers }));

  test.each([
    ['in the query', (t: string) => ({ query: `?ticket=${t}`, protocols: [] })],
    ['as a subprotocol', (t: string) => ({ query: '', protocols: ['chat', `ticket.${t}`] })],
  ])('a ticket %s opens a socket at the chat node, once', async (_where, carry) => {
    const { ticket } = await broker.mint();
    const { query, protocols } = carry(ticket);
    const { socket, welcome } = await dial(query, protocols);
    expect(welcome).toEqual({ type: 'welcome', user: 'alice' });
    expect(socket.protocol).toBe(protocols[0] ?? '');
    socket.send('hello');
    const [data] = await once(socket, 'message');
    expect(JSON.parse(String(data))).toMatchObject({ user: 'alice', text: 'hello' });
    socket.close();
    const replay = await ask(
      proxy.port,
      handshake({
        target: `/chat${query}`,
        headers: { 'Sec-WebSocket-Protocol': protocols.join(', ') || undefined },
      }),
    );
    expect(replay.status).toBe(401);
  });

  const revoke = async (target: object) => {
    const answer = await fetch(`${broker.url}/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyOf('root')}`, 'content-type': 'application/json' },
      body: JSON.stringify(target),
    });
    expect(answer.status).toBe(200);
  };

  test('a session that is revoked is closed by the node, which follows the feed', async () => {
    const { ticket, ticket_id } = await broker.mint();
    const { socket } = await dial(`?ticket=${ticket}`);
    const closed = once(socket, 'close');
    await revoke({ ticket_id });
    expect((await closed)[0]).toBe(3003);
  });

  test('the chat node on ws reads the same headers and the same feed', async () => {
    await using other = await startChatNode('ws', { BROKER_URL: broker.url, BROKER_KEY: keyOf('node') });
    await using door = await startProxy(name as ProxyName, { broker: broker.port, node: other.port });
    const { ticket, ticket_id } = await broker.mint();
    const { socket, welcome } = await dial('', ['chat', `ticket.${ticket}`], {}, door.port);
    expect([welcome, socket.protocol]).toEqual([{ type: 'welcome', user: 'alice' }, 'chat']);
    socket.send('hello');
    const [data] = await once(socket, 'message');
    expect(JSON.parse(String(data))).toEqual({ type: 'message', user: 'alice', text: 'hello' });
    const closed = once(socket, 'close');
    await revoke({ ticket_id });
    expect((await closed)[0]).toBe(3003);
  });

  test.each(['python', 'ws'] as const)(
    'the chat node in %s passes nothing on that is between a client and its node: a ticket may be in it',
    async (kind) => {
      await using other = await startChatNode(kind, { BROKER_URL: broker.url, BROKER_KEY: keyOf('node') });
      await using door = await startProxy(name, { broker: broker.port, node: other.port });
      const visit = async () => {
        const { ticket } = await broker.mint();
        return (await dial('', ['chat', `ticket.${ticket}`], {}, door.port)).socket;
      };
      const [hearer, speaker] = [await visit(), await visit()];
      for (const said of betweenClientAndNode) speaker.send(said);
      speaker.send('hello');
      const [data] = await once(hearer, 'message');
      expect(JSON.parse(String(data))).toEqual({ type: 'message', user: 'alice', text: 'hello' });
      for (const socket of [hearer, speaker]) socket.terminate();
    },
  );

  test('without a ticket, with a bad one, or from elsewhere, the node hears nothing', async () => {
    expect((await knock('/chat')).status).toBe(401);
    expect((await knock(`/chat?ticket=${unknown}`)).status).toBe(401);
    const { ticket } = await broker.mint();
    expect((await knock(`/chat?ticket=${ticket}`, { Origin: 'https://evil.example' })).status).toBe(403);
    expect((await knock(`/chat?ticket=${ticket}`)).status).toBe(101);
  });

  test('a client that says where it wanted to go is not believed', async () => {
    const { ticket } = await broker.mint();
    const said = `/chat?ticket=${ticket}`;
    for (const header of ['X-Forwarded-Uri', 'X-Original-URI', 'X-Original-URL', 'X_Original_URI']) {
      expect((await knock('/chat', { [header]: said })).status).toBe(401);
    }
    expect((await knock(said)).status).toBe(101);
  });

  test('and neither is one that says who it is, in any spelling', async () => {
    await using upstream = await startWitness();
    const { seen } = upstream;
    await using door = await startProxy(name, { broker: broker.port, node: upstream.port });
    for (const header of [
      'X-Auth-Request-User',
      'x-auth-request-user',
      'X_Auth_Request_User',
      'X-Auth_Request-User',
      'X.Auth.Request.User',
      'X-Auth-Assertion',
      'X_Auth_Assertion',
      'X-Auth-Request-Rooms',
      'X-Forwarded-For',
    ]) {
      const { ticket } = await broker.mint();
      await ask(
        door.port,
        handshake({
          target: `/chat?ticket=${ticket}`,
          headers: { [header]: 'mallory', 'Sec-WebSocket-Protocol': 'chat' },
        }),
      );
    }
    const { ticket } = await broker.mint();
    const offered = { 'Sec-WebSocket-Protocol': `chat, ticket.${ticket}` };
    await ask(door.port, handshake({ target: '/chat', headers: offered }));
    expect(seen).toHaveLength(10);
    for (const request of seen) {
      expect(request.headers).toMatchObject({
        'x-auth-request-user': 'alice',
        'x-auth-request-rooms': 'null',
        'x-forwarded-for': '127.0.0.1',
        'sec-websocket-protocol': 'chat',
      });
      expect(request.rawHeaders.join('\n')).not.toContain('mallory');
      expect(secretsIn(`${request.url}\n${request.rawHeaders.join('\n')}`)).toEqual([]);
    }
  });

  test('the node hears which subprotocols were offered, wherever among them the ticket was, and no ticket', async () => {
    await using upstream = await startWitness();
    await using door = await startProxy(name, { broker: broker.port, node: upstream.port });
    const offers: [(ticket: string) => string, string[] | undefined][] = [
      [(ticket) => `chat, ${ticket}`, ['chat']],
      [(ticket) => `${ticket}, chat`, ['chat']],
      [(ticket) => `v2, v1, ${ticket}`, ['v2', 'v1']],
      [(ticket) => `v2,${ticket} ,v1,v0`, ['v2', 'v1', 'v0']],
      [(ticket) => `${ticket} , v2, v1`, ['v2', 'v1']],
      [(ticket) => `my.ticket.v1, ${ticket}, ticket`, ['my.ticket.v1', 'ticket']],
      [(ticket) => ticket, undefined],
    ];
    for (const [offer, heard] of offers) {
      const { ticket } = await broker.mint();
      const offered = offer(`ticket.${ticket}`);
      const headers = { 'Sec-WebSocket-Protocol': offered };
      await ask(door.port, handshake({ target: '/chat', headers }));
      const { headers: told, rawHeaders } = upstream.seen.pop() as IncomingMessage;
      expect(told['sec-websocket-protocol']?.split(/\s*,\s*/), offered).toEqual(heard);
      expect(secretsIn(rawHeaders.join('\n')), offered).toEqual([]);
    }
    // In two headers, which is the same to HTTP; nginx tells of the first one only.
    for (const [first, second] of [
      ['chat', 'ticket.'],
      ['ticket.', 'chat'],
    ]) {
      const { ticket } = await broker.mint();
      const [one, other] = [first, second].map((text) => text?.replace(/\.$/, `.${ticket}`));
      const headers = { 'Sec-WebSocket-Protocol': `${one}\r\nSec-WebSocket-Protocol: ${other}` };
      await ask(door.port, handshake({ target: '/chat', headers }));
      const { headers: told } = upstream.seen.pop() as IncomingMessage;
      expect(['chat', ...(name === 'nginx' ? [undefined] : [])]).toContain(told['sec-websocket-protocol']);
    }
  });

  test('a chat node that is gone is no verdict on the ticket or the user', async () => {
    const nobody = createTcpServer().listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const { port } = nobody.address() as AddressInfo;
    nobody.close();
    await using door = await startProxy(name, { broker: broker.port, node: port });
    const { ticket } = await broker.mint();
    const answer = await ask(door.port, handshake({ target: `/chat?ticket=${ticket}` }));
    expect([502, 503]).toContain(answer.status);
    expect(secretsIn((await door.accessLog()) + (await door.errors()))).toEqual([]);
  });

  test('429 and 503 arrive as what they are, and say when to come back', async () => {
    const limited = await startBroker({ ...env, ATTEMPT_LIMIT: '1' });
    await using door = await startProxy(name, { broker: limited.port, node: node.port });
    const guess = (headers = {}) => ask(door.port, handshake({ target: `/chat?ticket=${unknown}`, headers }));
    expect((await guess()).status).toBe(401);
    const tooMany = await guess({ 'X-Forwarded-For': '198.51.100.7' });
    expect(tooMany).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
    expect(Number(tooMany.headers['retry-after'])).toBeGreaterThan(0);
    await limited.stop();
    const lost = await guess();
    expect(lost).toMatchObject({ status: 503, body: { error: 'overloaded' } });
    expect(Number(lost.headers['retry-after'])).toBeGreaterThan(0);
    expect(secretsIn((await door.accessLog()) + (await door.errors()))).toEqual([]);
  });

  test('an answer that gets lost opens at most one socket', async () => {
    const line = await startTcpProxy(broker.port);
    await using door = await startProxy(name, { broker: line.port, node: node.port });
    const { ticket, ticket_id } = await broker.mint();
    line.swallowReplies();
    const knocking = ask(door.port, handshake({ target: `/chat?ticket=${ticket}` }));
    const redeemed = () =>
      broker.decisions().some((made) => made['decision'] === 'redeem' && made['ticket_id'] === ticket_id);
    await until(redeemed, 'the broker decides');
    line.cut();
    // HAProxy asks again, under the same name.
    expect((await knocking).status).toBe(name === 'haproxy' ? 101 : 503);
    expect((await knock(`/chat?ticket=${ticket}`)).status).toBe(401);
    await line.close();
  });

  test('a ticket for a hundred rooms opens a socket at the chat node', async () => {
    const { ticket } = await broker.mint({ rooms: manyRooms() });
    const { socket, welcome } = await dial(`?ticket=${ticket}`);
    expect(welcome).toEqual({ type: 'welcome', user: 'alice' });
    socket.close();
  });

  test('a node that has room for them is told of all rooms, and of all of a context', async () => {
    await using upstream = await startWitness();
    await using door = await startProxy(name, { broker: broker.port, node: upstream.port });
    const [rooms, context] = [manyRooms(), { note: 'é'.repeat(900) }];
    const { ticket } = await broker.mint({ rooms, context });
    await ask(door.port, handshake({ target: `/chat?ticket=${ticket}` }));
    const { headers } = upstream.seen.pop() as IncomingMessage;
    expect(JSON.parse(String(headers['x-auth-request-rooms']))).toEqual(rooms);
    expect(JSON.parse(String(headers['x-auth-request-context']))).toEqual(context);
  });

  test.runIf(name === 'haproxy')('who leaves no room for what the broker says is not let in', async () => {
    const { ticket } = await broker.mint({ context: { note: 'n'.repeat(1900) } });
    const answer = await knock(`/chat?ticket=${ticket}`, { 'X-Large': 'x'.repeat(14_500) });
    expect(answer).toMatchObject({ status: 431, body: { error: 'headers_too_large' } });
  });

  test('only the proxy may ask what a ticket stands for', async () => {
    const { ticket } = await broker.mint();
    const said = { [String(need['VERIFY_URI_HEADER'])]: `/chat?ticket=${ticket}` };
    for (const path of [
      '/verify',
      '/verify/',
      '/verify/chat',
      '/%76erify',
      '/verif%79/chat',
      '/verify?aud=chat',
    ]) {
      expect((await knock(path, said)).status).toBe(404);
    }
    expect((await knock(`/chat?ticket=${ticket}`)).status).toBe(101);
  });

  test('no ticket is in the access log, nor in what else it says', async () => {
    const log = await proxy.accessLog();
    expect(log.split('\n').length).toBeGreaterThan(3);
    expect(secretsIn(log)).toEqual([]);
    expect(secretsIn(await proxy.errors())).toEqual([]);
  });
});
