import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, password, sharedStore, startBroker } from '../support/broker-process.ts';
import { dial, exchange, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const key = 'the-key-of-a-backend-that-may-do-everything';
let keysFile: string;
beforeAll(async () => {
  keysFile = join(await mkdtemp(join(tmpdir(), 'keys-')), 'keys');
  const digest = createHash('sha256').update(key).digest('hex');
  await writeFile(keysFile, `backend:${digest}:tickets:mint,tickets:redeem,revoke,sessions:read\n`);
});

const backend = { authorization: `Bearer ${key}` };

async function call(
  at: BrokerProcess,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: object,
) {
  const init = { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) } };
  const response = await fetch(`${at.url}${path}`, { ...init, ...(body && { body: JSON.stringify(body) }) });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

async function ticketFor(at: BrokerProcess, sub: string): Promise<{ ticket: string; ticket_id: string }> {
  return (await call(at, 'POST', '/tickets', backend, { sub })).body;
}

const ready = ({ url }: BrokerProcess) =>
  until(async () => (await fetch(`${url}/readyz`)).ok, 'the broker is ready');

interface Open {
  socket: WebSocket;
  session_id: string;
  closed: Promise<{ code: number; reason: string }>;
  messages: Record<string, unknown>[];
}

async function open(at: BrokerProcess, ticket: string): Promise<Open> {
  const socket = new WebSocket(`${at.url.replace('http', 'ws')}/ws?ticket=${ticket}`);
  const messages: Record<string, unknown>[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  await once(socket, 'message');
  return { socket, session_id: String(messages[0]?.['session_id']), closed, messages };
}

async function refused(at: BrokerProcess, ticket: string): Promise<boolean> {
  const socket = new WebSocket(`${at.url.replace('http', 'ws')}/ws?ticket=${ticket}`);
  const [error] = await once(socket, 'error');
  return String(error.message).includes('401');
}

const revoke = (at: BrokerProcess, body: object) => call(at, 'POST', '/revocations', backend, body);

describe('two nodes on one Redis', () => {
  let a: BrokerProcess;
  let b: BrokerProcess;
  beforeAll(async () => {
    const env = { ...sharedStore(inject('redisUrl')), SERVICE_KEYS_FILE: keysFile, ATTEMPT_LIMIT: '0' };
    [a, b] = await Promise.all([startBroker(env), startBroker(env)]);
    await Promise.all([a, b].map(ready));
  });
  afterAll(() => Promise.all([a.stop(), b.stop()]));

  test('revoking a subject closes its sockets, and refuses its tickets and tokens, everywhere', async () => {
    const token = { authorization: `Bearer ${await a.token()}` };
    const mine = await Promise.all(
      [a, b, b].map(async (at) => open(at, (await call(at, 'POST', '/tickets', token)).body.ticket)),
    );
    const other = await open(b, (await ticketFor(a, 'bob')).ticket);
    const unused = (await call(a, 'POST', '/tickets', token)).body.ticket;

    await expect
      .poll(async () => (await call(a, 'GET', '/sessions?sub=alice', backend)).body.sessions.length)
      .toBe(3);
    const answer = await revoke(a, { sub: 'alice', reason: 'left the company' });
    expect(answer).toEqual({ status: 200, body: { id: expect.any(String), sessions: 3 } });
    for (const { closed } of mine) expect(await closed).toEqual({ code: 3003, reason: 'left the company' });
    for (const at of [a, b]) {
      expect(await refused(at, unused)).toBe(true);
      expect(await call(at, 'POST', '/tickets', token)).toMatchObject({
        status: 401,
        body: { error: 'token_revoked' },
      });
    }
    expect(other.socket.readyState).toBe(WebSocket.OPEN);

    const login = await call(b, 'POST', '/api/login', {}, { username: 'alice', password });
    const again = await call(a, 'POST', '/tickets', { authorization: `Bearer ${login.body.token}` });
    const back = await open(b, again.body.ticket);
    expect(back.socket.readyState).toBe(WebSocket.OPEN);
    back.socket.close();
    other.socket.close();
  });

  test('revoking a subject refuses the refresh tokens from before, everywhere', async () => {
    const login = await call(a, 'POST', '/api/login', {}, { username: 'alice', password });
    await revoke(b, { sub: 'alice' });
    for (const at of [a, b]) {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: login.body.refresh_token,
      });
      const answer = await fetch(`${at.url}/token`, { method: 'POST', body: form });
      expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        401,
        'token_revoked',
      ]);
    }
    const again = await call(b, 'POST', '/api/login', {}, { username: 'alice', password });
    expect((await call(a, 'POST', '/tickets', { authorization: `Bearer ${again.body.token}` })).status).toBe(
      201,
    );
  });

  test('reaches only what was authenticated up to the moment named', async () => {
    const before = await open(a, (await ticketFor(a, 'carl')).ticket);
    const moment = Date.now() / 1000;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const after = await open(b, (await ticketFor(b, 'carl')).ticket);
    await revoke(b, { sub: 'carl', issued_before: moment });
    expect((await before.closed).code).toBe(3003);
    expect(after.socket.readyState).toBe(WebSocket.OPEN);
    after.socket.close();
  });

  test('ends one session, by its name or by the ticket that opened it', async () => {
    const [first, second] = [await ticketFor(a, 'dora'), await ticketFor(a, 'dora')];
    const [byName, byTicket] = [await open(a, first.ticket), await open(b, second.ticket)];
    await revoke(b, { session_id: byName.session_id });
    expect((await byName.closed).code).toBe(3003);
    expect(byTicket.socket.readyState).toBe(WebSocket.OPEN);
    await revoke(a, { ticket_id: second.ticket_id });
    expect((await byTicket.closed).code).toBe(3003);
    const unused = await ticketFor(a, 'dora');
    expect((await revoke(b, { ticket_id: unused.ticket_id })).body.sessions).toBe(0);
    expect(await refused(a, unused.ticket)).toBe(true);
  });

  test('lists the sessions of both nodes, and lets their user end one or all', async () => {
    const login = await call(b, 'POST', '/api/login', {}, { username: 'alice', password });
    const token = { authorization: `Bearer ${login.body.token}` };
    const mine = await Promise.all(
      [a, b].map(async (at) => open(at, (await call(at, 'POST', '/tickets', token)).body.ticket)),
    );
    const [one, two] = mine as [Open, Open];
    const others = await open(a, (await ticketFor(a, 'bob')).ticket);
    await expect
      .poll(async () => (await call(a, 'GET', '/sessions?sub=alice', backend)).body.sessions.length)
      .toBe(2);
    const { sessions } = (await call(b, 'GET', '/sessions?sub=alice', backend)).body;
    expect(sessions[0]).toEqual({
      session_id: expect.any(String),
      sub: 'alice',
      username: 'alice',
      node: expect.any(String),
      ip: '127.0.0.1',
      since: expect.closeTo(Date.now() / 1000, -1),
      exp: expect.any(Number),
      via: 'ws',
    });
    expect(new Set(sessions.map(({ node }: { node: string }) => node)).size).toBe(2);
    const everybody = (await call(a, 'GET', '/sessions', backend)).body.sessions;
    expect(everybody.length).toBeGreaterThanOrEqual(1);

    expect((await call(a, 'DELETE', `/sessions/${others.session_id}`, token)).status).toBe(404);
    expect((await call(b, 'DELETE', `/sessions/${one.session_id}`, token)).status).toBe(204);
    expect((await one.closed).code).toBe(3003);
    expect(two.socket.readyState).toBe(WebSocket.OPEN);
    expect((await call(a, 'DELETE', '/sessions', token)).status).toBe(204);
    expect((await two.closed).code).toBe(3003);
    expect((await call(a, 'POST', '/tickets', token)).body.error).toBe('token_revoked');
    expect(others.socket.readyState).toBe(WebSocket.OPEN);
    others.socket.close();
  });

  test('whoever is welcomed is listed, and may be ended by their user at another node', async () => {
    const login = await call(a, 'POST', '/api/login', {}, { username: 'alice', password });
    const token = { authorization: `Bearer ${login.body.token}` };
    for (let time = 0; time < 5; time++) {
      const { ticket } = (await call(a, 'POST', '/tickets', token)).body;
      const { session_id, closed } = await open(b, ticket);
      const { sessions } = (await call(b, 'GET', '/sessions?sub=alice', backend)).body;
      expect(sessions).toContainEqual(expect.objectContaining({ session_id }));
      expect((await call(a, 'DELETE', `/sessions/${session_id}`, token)).status).toBe(204);
      expect((await closed).code).toBe(3003);
    }
  });

  test('the feed is followed as server-sent events, and resumed', async () => {
    const read = async (headers: Record<string, string>, until: string) => {
      const controller = new AbortController();
      const response = await fetch(`${b.url}/revocations`, {
        headers: { ...backend, ...headers },
        signal: controller.signal,
      });
      expect(response.headers.get('content-type')).toBe('text/event-stream');
      let text = '';
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) {
        text += decoder.decode(chunk, { stream: true });
        if (text.includes(until) && text.endsWith('\n\n')) break;
      }
      controller.abort();
      return text;
    };
    const { id } = (await revoke(a, { sub: 'first', reason: 'one' })).body;
    const whole = await read({}, '"sub":"first"');
    expect(whole).toContain(`id: ${id}\nevent: revocation\ndata: {"sub":"first"`);
    const rest = read({ 'last-event-id': id }, '"sub":"second"');
    await revoke(a, { sub: 'second' });
    expect(await rest).not.toContain('"sub":"first"');
  });

  test.each([
    ['nothing', {}],
    ['two things', { sub: 'a', session_id: 'A'.repeat(22) }],
    ['an unknown field', { sub: 'a', why: 'x' }],
    ['a moment with a session', { session_id: 'A'.repeat(22), issued_before: 1 }],
    ['a moment in the future', { sub: 'a', issued_before: Date.now() / 1000 + 3600 }],
    ['a moment that is none', { sub: 'a', issued_before: 'now' }],
    ['a reason with a line break', { sub: 'a', reason: 'x\ny' }],
  ])('refuses to revoke %s', async (_what, body) => {
    expect(await revoke(a, body)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  test('a user may not revoke, list or follow others', async () => {
    const login = await call(b, 'POST', '/api/login', {}, { username: 'alice', password });
    const token = { authorization: `Bearer ${login.body.token}` };
    expect((await call(a, 'POST', '/revocations', token, { sub: 'bob' })).status).toBe(403);
    expect((await call(a, 'GET', '/sessions', token)).status).toBe(403);
    expect((await call(a, 'GET', '/revocations', token)).status).toBe(403);
    expect((await call(a, 'POST', '/revocations', {}, { sub: 'bob' })).status).toBe(401);
  });
});

describe('a node', () => {
  test('that was stopped closes as soon as it runs again', async () => {
    const env = { ...sharedStore(inject('redisUrl')), SERVICE_KEYS_FILE: keysFile };
    await using a = await startBroker(env);
    await using b = await startBroker(env);
    await Promise.all([a, b].map(ready));
    const held = await open(b, (await ticketFor(a, 'eve')).ticket);
    process.kill(b.pid, 'SIGSTOP');
    expect((await revoke(a, { sub: 'eve' })).status).toBe(200);
    process.kill(b.pid, 'SIGCONT');
    expect((await held.closed).code).toBe(3003);
  });

  test('that is cut off from Redis is not ready, admits nobody, and closes on its return', async () => {
    const redis = new URL(inject('redisUrl'));
    const proxy = await startTcpProxy(Number(redis.port));
    const shared = { ...sharedStore(inject('redisUrl')), SERVICE_KEYS_FILE: keysFile };
    await using a = await startBroker(shared);
    await using b = await startBroker({ ...shared, REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    await Promise.all([a, b].map(ready));
    const held = await open(b, (await ticketFor(a, 'eve')).ticket);
    const { ticket } = await ticketFor(a, 'fay');
    proxy.pointTo(1);
    proxy.cut();
    await expect.poll(async () => (await fetch(`${b.url}/readyz`)).status, { timeout: 10_000 }).toBe(503);
    const socket = new WebSocket(`${b.url.replace('http', 'ws')}/ws?ticket=${ticket}`);
    expect(String((await once(socket, 'error'))[0].message)).toContain('503');
    expect((await revoke(a, { sub: 'eve' })).status).toBe(200);
    expect(held.socket.readyState).toBe(WebSocket.OPEN);
    proxy.pointTo(Number(redis.port));
    expect((await held.closed).code).toBe(3003);
    await expect.poll(async () => (await fetch(`${b.url}/readyz`)).status, { timeout: 10_000 }).toBe(200);
    (await open(b, ticket)).socket.close();
    await proxy.close();
  });

  test('keeps to the number of sessions a subject may have, with the others', async () => {
    const env = {
      ...sharedStore(inject('redisUrl')),
      SERVICE_KEYS_FILE: keysFile,
      MAX_SESSIONS_PER_SUB: '2',
    };
    await using a = await startBroker(env);
    await using b = await startBroker(env);
    await Promise.all([a, b].map(ready));
    const [first, second] = [
      await open(a, (await ticketFor(a, 'gus')).ticket),
      await open(b, (await ticketFor(a, 'gus')).ticket),
    ];
    await expect
      .poll(async () => (await call(a, 'GET', '/sessions?sub=gus', backend)).body.sessions.length)
      .toBe(2);
    const third = await open(a, (await ticketFor(a, 'gus')).ticket);
    expect(await first.closed).toEqual({ code: 3003, reason: 'too many sessions' });
    expect([second.socket.readyState, third.socket.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
    for (const { socket } of [second, third]) socket.close();
  });

  test('that logs a user out a hundred times at once says so once', async () => {
    const url = inject('redisUrl');
    const store = sharedStore(url);
    await using broker = await startBroker(store);
    await ready(broker);
    const authorization = `Bearer ${await broker.token()}`;
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => call(broker, 'DELETE', '/sessions', { authorization })),
    );
    const client = createClient({ url });
    await client.connect();
    expect(await client.xLen(`${store['KEY_PREFIX']}revocations`)).toBe(1);
    client.destroy();
    const statuses = answers.map(({ status }) => status).sort();
    expect([statuses[0], statuses[1], statuses.at(-1)]).toEqual([204, 401, 401]);
  });

  test('that cannot know how long a login lasts leaves old revocations to the http tier', async () => {
    const url = inject('redisUrl');
    const store = sharedStore(url);
    const client = createClient({ url });
    await client.connect();
    const stream = `${store['KEY_PREFIX']}revocations`;
    const longAgo = Date.now() - 60 * 86_400_000;
    const old = { sub: 'dora', issued_before: longAgo / 1000, at: longAgo / 1000 };
    // Cut off are whole blocks, of a hundred entries each.
    for (let n = 0; n < 250; n++) {
      await client.xAdd(stream, `${longAgo + n}-0`, { r: JSON.stringify({ ...old, rid: `old-${n}` }) });
    }
    const env = { ...store, SERVICE_KEYS_FILE: keysFile, MAX_SESSIONS_PER_SUB: '1' };
    await using http = await startBroker({ ...env, TIERS: 'http' });
    await using sockets = await startBroker({ ...env, TIERS: 'ws' });
    await Promise.all([http, sockets].map(ready));
    const first = await open(sockets, (await ticketFor(http, 'hal')).ticket);
    const second = await open(sockets, (await ticketFor(http, 'hal')).ticket);
    expect(await first.closed).toEqual({ code: 3003, reason: 'too many sessions' });
    expect(await client.xLen(stream)).toBe(251);
    await call(http, 'POST', '/revocations', backend, { sub: 'hal' });
    expect((await second.closed).code).toBe(3003);
    expect(await client.xLen(stream)).toBeLessThan(150);
    client.destroy();
  });

  test('that is gone leaves what others hold to be listed, and ended by its user, at another node', async () => {
    const env = { ...sharedStore(inject('redisUrl')), SERVICE_KEYS_FILE: keysFile };
    const a = await startBroker(env);
    await using b = await startBroker(env);
    await Promise.all([a, b].map(ready));
    const login = await call(b, 'POST', '/api/login', {}, { username: 'alice', password });
    const token = { authorization: `Bearer ${login.body.token}` };
    const { ticket } = (await call(a, 'POST', '/tickets', token)).body;
    const { session_id } = (await call(a, 'POST', '/tickets/redeem', backend, { ticket })).body;
    const others = (
      await call(a, 'POST', '/tickets/redeem', backend, {
        ticket: (await ticketFor(a, 'bob')).ticket,
      })
    ).body;
    await a.stop();
    expect((await call(b, 'GET', '/sessions?sub=alice', backend)).body.sessions).toMatchObject([
      { session_id, via: 'redeem' },
    ]);
    const answers = [others.session_id, 'A'.repeat(22)].map((name) =>
      call(b, 'DELETE', `/sessions/${name}`, token),
    );
    const [another, unknown] = await Promise.all(answers);
    expect(another).toMatchObject({ status: 404, body: { error: 'not_found' } });
    // Nobody is told which sessions there are.
    expect(unknown).toEqual(another);
    expect((await call(b, 'DELETE', `/sessions/${session_id}`, token)).status).toBe(204);
    const revoked = { decision: 'revoke', by: 'user', session_id, granted: true, rid: expect.any(String) };
    await expect.poll(b.decisions).toContainEqual(expect.objectContaining(revoked));
  });

  test('warns before a session ends, moves the end on with a fresh ticket, and closes with 3000 without one', async () => {
    await using at = await startBroker({ SERVICE_KEYS_FILE: keysFile, SESSION_TTL: '62', REDIS_URL: '' });
    const begun = performance.now();
    /** What may be told of seconds that are left: the whole of it less what has gone by, at most, since the session's ticket was minted. */
    const left = (most: number) =>
      expect.toSatisfy((told) => told <= most && told >= 62 - Math.ceil((performance.now() - begun) / 1000));
    const held = await open(at, (await ticketFor(at, 'hal')).ticket);
    await expect
      .poll(() => held.messages.find(({ type }) => type === 'session.expiring'))
      .toMatchObject({ expires_in: left(60) });
    held.socket.send(
      JSON.stringify({ type: 'session.refresh', ticket: (await ticketFor(at, 'hal')).ticket }),
    );
    await expect
      .poll(() => held.messages.find(({ type }) => type === 'session.refreshed'))
      .toMatchObject({ expires_in: left(62) });
    const moved = held.messages.find(({ type }) => type === 'session.refreshed');
    expect(moved?.['expires_in']).toBeGreaterThan(
      Number(held.messages.find(({ type }) => type === 'session.expiring')?.['expires_in']),
    );
    held.socket.send(JSON.stringify({ type: 'session.refresh', ticket: `wst_${'A'.repeat(43)}` }));
    await expect
      .poll(() => held.messages.at(-1))
      .toMatchObject({ type: 'error', error: 'invalid_ticket', about: 'session.refresh' });
    held.socket.send(
      JSON.stringify({ type: 'session.refresh', ticket: (await ticketFor(at, 'ida')).ticket }),
    );
    expect((await held.closed).code).toBe(1008);

    await using brief = await startBroker({ SERVICE_KEYS_FILE: keysFile, SESSION_TTL: '2', REDIS_URL: '' });
    const ended = await open(brief, (await ticketFor(brief, 'hal')).ticket);
    expect((await ended.closed).code).toBe(3000);
  });

  test('ends the session that a ticket opened when the ticket comes back, where that is asked for', async () => {
    await using at = await startBroker({ SERVICE_KEYS_FILE: keysFile, REDIS_URL: '', ON_REPLAY: 'close' });
    const { ticket } = await ticketFor(at, 'joy');
    const held = await open(at, ticket);
    expect(await refused(at, ticket)).toBe(true);
    expect(await held.closed).toEqual({ code: 3003, reason: 'ticket replayed' });
  });

  test('that stops sends its peers away in batches, each with a delay of its own', async () => {
    const at = await startBroker({ SERVICE_KEYS_FILE: keysFile, REDIS_URL: '', DRAIN_TIMEOUT: '5' });
    const held = await Promise.all(
      Array.from({ length: 200 }, async (_, index) =>
        open(at, (await ticketFor(at, `user-${index}`)).ticket),
      ),
    );
    const began = Date.now();
    const stopped = at.stop();
    const closes = await Promise.all(
      held.map(async ({ closed }) => ({ ...(await closed), after: Date.now() - began })),
    );
    expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1012]));
    const delays = closes.map(({ reason }) => JSON.parse(reason).reconnect_after_ms as number);
    expect(new Set(delays).size).toBeGreaterThan(20);
    expect(Math.max(...closes.map(({ after }) => after))).toBeGreaterThan(500);
    expect(await stopped).toBe(0);
  });

  test('that stops cuts off whoever does not answer, and says so, however long it has waited', async () => {
    // Longer than Fastify lets a hook take.
    const at = await startBroker({ REDIS_URL: '', DRAIN_TIMEOUT: '11' });
    const silent = await dial(at.port);
    const { ticket } = await at.mint();
    await exchange(silent, handshake({ target: `/ws?ticket=${ticket}` }));
    expect(await at.stop()).toBe(0);
    const ends = at.output().match(/"ended_by":"node"[^\n]*"msg":"socket closed"/g);
    expect(ends).toHaveLength(1);
    silent.destroy();
  }, 30_000);
});
