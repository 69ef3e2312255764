import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, password, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, dial, exchange, handshake } from '../support/e2e-raw-http.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const bad = `wst_${'A'.repeat(43)}`;
const keys = serviceKeysFile({ root: 'revoke,sessions:read,tickets:mint' });

/** What a client got: its first message, or the code that it was closed with. */
async function outcome(socket: WebSocket): Promise<{ message?: Record<string, unknown>; code?: number }> {
  const answer = await Promise.race([
    once(socket, 'message').then(([data]) => ({ message: JSON.parse(String(data)) })),
    once(socket, 'close').then(([code]) => ({ code })),
  ]);
  return answer;
}

describe.each(['http', 'close'] as const)('with WS_REJECT=%s', (reject) => {
  const all = { WS_ACCEPT: 'ticket,bearer,token,message', WS_REJECT: reject, SERVICE_KEYS_FILE: keys };
  let broker: BrokerProcess;
  let closed: BrokerProcess;
  beforeAll(async () => {
    const env = { ...sharedStore(inject('redisUrl')), ATTEMPT_LIMIT: '0' };
    [broker, closed] = await Promise.all([
      startBroker({ ...env, ...all }),
      startBroker({ ...env, WS_REJECT: reject }),
    ]);
  });
  afterAll(() => Promise.all([broker?.stop(), closed?.stop()]));

  const open = (query = '', headers = {}, at = broker) => {
    const socket = new WebSocket(`${at.url.replace('http', 'ws')}/ws${query}`, { headers });
    socket.on('error', () => {});
    return socket;
  };
  /** A refusal in the way of the mode: a status, or a code. */
  const refusal = async (query: string, headers = {}, at = broker) => {
    if (reject === 'http') return (await ask(at.port, handshake({ target: `/ws${query}`, headers }))).status;
    const [code] = await once(open(query, headers, at), 'close');
    return code;
  };
  const says = { unauthorized: reject === 'http' ? 401 : 1008, forbidden: reject === 'http' ? 403 : 1008 };
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  const listed = async () => {
    const answer = await fetch(`${broker.url}/sessions?sub=alice`, { headers: bearer(keyOf('root')) });
    return ((await answer.json()) as { sessions: object[] }).sessions;
  };

  test.each([
    ['in Authorization', (token: string): [string, object] => ['', bearer(token)], 'bearer'],
    ['in ?token=', (token: string): [string, object] => [`?token=${token}`, {}], 'token'],
  ] as const)('a token %s opens a socket, again and again', async (_where, carry, via) => {
    const token = await broker.token();
    for (let time = 0; time < 2; time++) {
      const socket = open(...carry(token));
      expect((await outcome(socket)).message).toMatchObject({ type: 'welcome', sub: 'alice' });
      await expect.poll(listed).toContainEqual(expect.objectContaining({ via }));
      socket.close();
      await once(socket, 'close');
    }
  });

  test.each([
    ['forged', (token: string) => `${token.slice(0, -6)}AAAAAA`],
    ['cut short', (token: string) => token.slice(0, 40)],
    ['not a token', () => 'nonsense'],
    ['a service key', () => keyOf('root')],
    ['a ticket', () => bad],
  ])('a token that is %s is refused in both places', async (_what, spoil) => {
    const spoiled = spoil(await broker.token());
    expect(await refusal('', bearer(spoiled))).toBe(says.unauthorized);
    expect(await refusal(`?token=${spoiled}`)).toBe(says.unauthorized);
  });

  test('what is switched off is refused', async () => {
    const token = await broker.token();
    expect(await refusal('', bearer(token), closed)).toBe(says.unauthorized);
    expect(await refusal(`?token=${token}`, {}, closed)).toBe(says.unauthorized);
    expect(await refusal('', {}, closed)).toBe(says.unauthorized);
  });

  test('an origin that is not allowed is refused, whatever it shows', async () => {
    const token = await broker.token();
    const foreign = { Origin: 'https://evil.example' };
    expect(await refusal(`?token=${token}`, foreign)).toBe(says.forbidden);
    expect(await refusal('', { ...foreign, ...bearer(token) })).toBe(says.forbidden);
    expect(await refusal('', foreign)).toBe(says.forbidden);
  });

  describe('a ticket in the first message', () => {
    const show = (ticket: string) => JSON.stringify({ type: 'ticket_authenticate', ticket });
    const opened = async (query = '') => {
      const socket = open(query);
      await once(socket, 'open');
      return socket;
    };

    test('opens the session, once, and what follows it is not lost', async () => {
      const { ticket } = await broker.mint();
      const socket = await opened();
      // In one piece: the server reads both at once.
      const raw = Reflect.get(socket, '_socket') as Socket;
      raw.cork();
      socket.send(show(ticket));
      socket.send(JSON.stringify({ type: 'early' }));
      raw.uncork();
      const messages: Record<string, unknown>[] = [];
      socket.on('message', (data) => messages.push(JSON.parse(String(data))));
      await expect.poll(() => messages.length).toBe(2);
      expect(messages).toMatchObject([
        { type: 'welcome', sub: 'alice' },
        { type: 'early', user: 'alice' },
      ]);

      const second = await opened();
      second.send(show(ticket));
      expect(await outcome(second)).toEqual({ code: 1008 });
    });

    test.each([
      ['a bad ticket', show(bad), 1008],
      ['something else', JSON.stringify({ type: 'hello' }), 1008],
      ['a number for a ticket', JSON.stringify({ type: 'ticket_authenticate', ticket: 7 }), 1008],
      ['null', 'null', 1008],
      ['no JSON', 'hello', 1007],
    ])('is closed after %s', async (_what, text, code) => {
      const socket = await opened();
      socket.send(text);
      expect(await outcome(socket)).toEqual({ code });
    });

    test('is held to the room of the handshake', async () => {
      const { ticket } = await broker.mint({ rooms: ['lobby'] });
      const socket = await opened('?room=vault');
      socket.send(show(ticket));
      expect(await outcome(socket)).toEqual({ code: 1008 });
      const right = await opened('?room=lobby');
      right.send(show(ticket));
      expect((await outcome(right)).message).toMatchObject({ type: 'welcome' });
    });

    test('has five seconds', async () => {
      // The server's five seconds begin before we hear that the socket is open.
      const start = performance.now();
      const socket = await opened();
      expect(await outcome(socket)).toEqual({ code: 3008 });
      expect(performance.now() - start).toBeGreaterThan(4500);
      const late = { decision: 'redeem', via: 'message', granted: false, reason: 'no_ticket_in_time' };
      await expect.poll(broker.decisions).toContainEqual(expect.objectContaining(late));
    });
  });

  // Last: nobody comes in with a token of before.
  test('a token that has been revoked is refused in both places', async () => {
    const login = await fetch(`${closed.url}/api/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'alice', password }),
    });
    const { token } = (await login.json()) as { token: string };
    const left = await fetch(`${broker.url}/sessions`, { method: 'DELETE', headers: bearer(token) });
    expect(left.status).toBe(204);
    expect(await refusal('', bearer(token))).toBe(says.unauthorized);
    expect(await refusal(`?token=${token}`)).toBe(says.unauthorized);
  });
});

describe('a token in the handshake', () => {
  test('is refused once its user is revoked, and its socket is closed', async () => {
    const broker = await startBroker({ WS_ACCEPT: 'bearer', SERVICE_KEYS_FILE: keys });
    const headers = { Authorization: `Bearer ${await broker.token()}` };
    const socket = new WebSocket(`${broker.url.replace('http', 'ws')}/ws`, { headers });
    await once(socket, 'message');
    const closed = once(socket, 'close');
    await fetch(`${broker.url}/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyOf('root')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ sub: 'alice' }),
    });
    expect((await closed)[0]).toBe(3003);
    const again = await ask(broker.port, handshake({ target: '/ws', headers }));
    expect(again).toMatchObject({ status: 401, body: { error: 'token_revoked' } });
    await broker.stop();
  });

  test('counts against the address when it is bad', async () => {
    const broker = await startBroker({ WS_ACCEPT: 'token', ATTEMPT_LIMIT: '3' });
    const guess = () => ask(broker.port, handshake({ target: '/ws?token=a.b.c' }));
    for (let tries = 0; tries < 3; tries++) expect((await guess()).status).toBe(401);
    expect(await guess()).toMatchObject({ status: 429 });
    await broker.stop();
  });
});

describe('what a proxy that keeps connections has to know', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({ ALLOWED_ORIGINS: 'https://app.example' });
  });
  afterAll(() => broker?.stop());

  test.each([
    [401, handshake({ target: `/ws?ticket=${bad}` }), 'close'],
    [400, handshake({ target: `/ws?ticket=${bad}&ticket=${bad}` }), 'close'],
    [403, handshake({ headers: { Origin: 'https://evil.example' } }), 'close'],
    [426, handshake({ headers: { 'Sec-WebSocket-Version': '8' } }), 'close, upgrade'],
  ])(
    'a handshake refused with %d says that the connection ends with it, and it does',
    async (status, bytes, connection) => {
      const socket = await dial(broker.port);
      const ended = once(socket, 'end');
      expect(await exchange(socket, bytes)).toMatchObject({ status, headers: { connection } });
      await ended;
      socket.destroy();
    },
  );

  test('a handshake in absolute form (RFC 9112 3.2.2) opens, and is refused, like any other', async () => {
    const { ticket } = await broker.mint();
    const target = `http://127.0.0.1:${broker.port}/ws?ticket=${ticket}`;
    for (const status of [101, 401]) {
      expect((await ask(broker.port, handshake({ target }))).status).toBe(status);
    }
  });

  test.each(['1.1', '1.0'])('and one of HTTP/%s that is to be the last, is', async (version) => {
    const socket = await dial(broker.port);
    const ended = once(socket, 'end');
    const plain = `GET /ws HTTP/${version}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
    expect(await exchange(socket, plain)).toMatchObject({
      status: 426,
      headers: { connection: 'close, upgrade' },
    });
    await ended;
    socket.destroy();
  });

  test('what is no handshake is told to upgrade (RFC 9110 7.8), and may go on', async () => {
    const socket = await dial(broker.port);
    const plain = 'GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
    for (let time = 0; time < 2; time++) {
      expect(await exchange(socket, plain)).toMatchObject({ status: 426, headers });
    }
    socket.destroy();
  });
});
