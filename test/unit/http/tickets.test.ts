import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ticketId } from '../../../src/tickets/ticket.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { aClaim } from '../../support/records.ts';
import { keyOf, serviceKeysFile } from '../../support/service-keys.ts';

const keysFile = () =>
  serviceKeysFile({ minter: 'tickets:mint', revoker: 'revoke', reader: 'sessions:read' });

describe('/tickets', () => {
  let broker: TestApp;
  let bearer: { authorization: string };
  const service = (name: 'minter' | 'revoker' | 'reader') => ({ authorization: `Bearer ${keyOf(name)}` });
  beforeAll(async () => {
    broker = await testApp({ env: { SERVICE_KEYS_FILE: keysFile(), BIND_IP: 'exact', MINT_LIMIT: '0' } });
    bearer = { authorization: `Bearer ${await broker.token()}` };
  });
  afterAll(() => broker.close());

  const mint = (payload?: object, headers: Record<string, string> = bearer) =>
    broker.app.inject({ method: 'POST', url: '/tickets', headers, ...(payload && { payload }) });
  const redeemed = async (ticket: string, claim = {}) => {
    const answer = await broker.store.redeem(ticketId(ticket), aClaim(claim));
    return answer.outcome === 'redeemed' ? answer.record : answer;
  };

  describe('POST', () => {
    test('mints for the user of the token, and answers what a client needs', async () => {
      const answer = await mint({});
      expect(answer.statusCode).toBe(201);
      expect(answer.headers['cache-control']).toBe('no-store');
      const { ticket, ticket_id, expires_in, url } = answer.json();
      expect(ticket).toMatch(/^wst_[A-Za-z0-9_-]{43}$/);
      expect(ticket_id).toBe(ticketId(ticket));
      expect(expires_in).toBe(30);
      expect(url).toBe(`ws://localhost/ws?ticket=${ticket}`);
      expect(await redeemed(ticket)).toMatchObject({ sub: 'alice', username: 'alice' });
    });

    test('takes no body for an empty one', async () => {
      expect((await mint()).statusCode).toBe(201);
      for (const type of [
        'application/json',
        'application/x-www-form-urlencoded',
        'text/plain;charset=UTF-8',
      ]) {
        const headers = { ...bearer, 'content-type': type, 'content-length': '0' };
        const typed = await broker.app.inject({ method: 'POST', url: '/tickets', headers });
        expect([type, typed.statusCode]).toEqual([type, 201]);
      }
    });

    test('passes on rooms, context, audience and bindings', async () => {
      const body = {
        rooms: ['lobby'],
        context: { plan: 'pro' },
        aud: 'chat',
        bind: { origin: 'https://app.example', ip: '::ffff:192.0.2.1' },
        ttl: 300,
      };
      const { ticket, expires_in } = (await mint(body)).json();
      expect(expires_in).toBe(300);
      const claim = { aud: 'chat', origin: 'https://app.example', addresses: ['192.0.2.1'] };
      expect(await redeemed(ticket, claim)).toMatchObject({
        rooms: ['lobby'],
        context: { plan: 'pro' },
        aud: 'chat',
        origin: 'https://app.example',
        ip: '192.0.2.1',
      });
    });

    test('carries the time of the login, and no more session than the token has left', async () => {
      const before = Date.now() / 1000;
      const { authorization } = { authorization: `Bearer ${await broker.token()}` };
      const after = Date.now() / 1000;
      const { ticket } = (await mint({}, { authorization })).json();
      const record = await redeemed(ticket);
      expect(record).toMatchObject({ auth_time: expect.toSatisfy((at) => before <= at && at <= after) });
      expect('session_ttl' in record && record.session_ttl).toBeLessThanOrEqual(3600);
    });

    test.each([
      ['an unknown field', { admin: true }],
      ['sub with a user token', { sub: 'bob' }],
      ['username with a user token', { username: 'bob' }],
      ['rooms that are no list', { rooms: 'lobby' }],
      ['a room that is no string', { rooms: [1] }],
      ['an empty room', { rooms: [''] }],
      ['a room with a tab', { rooms: ['a\tb'] }],
      ['a room with a NUL', { rooms: ['a\0b'] }],
      ['a room with half of a pair', { rooms: ['a\ud800b'] }],
      ['a room twice', { rooms: ['a', 'a'] }],
      ['101 rooms', { rooms: Array.from({ length: 101 }, (_, index) => `r${index}`) }],
      ['a context of 3 KiB', { context: 'x'.repeat(3 * 1024) }],
      ['a context of 3 KiB in few characters', { context: '€'.repeat(1024) }],
      ['an audience with a line break', { aud: 'a\nb' }],
      ['an audience with half of a pair', { aud: '\udfff' }],
      ['an origin that is none', { bind: { origin: 'example' } }],
      ['an origin with a path, of an app', { bind: { origin: 'capacitor://localhost/' } }],
      ['an origin with a line break', { bind: { origin: 'https://a\n.example' } }],
      ['an address that is none', { bind: { ip: 'localhost' } }],
      ['an unknown binding', { bind: { agent: 'curl' } }],
      ['ttl 0', { ttl: 0 }],
      ['ttl -1', { ttl: -1 }],
      ['ttl 1e9', { ttl: 1e9 }],
      ['ttl as text', { ttl: '30' }],
      ['a broken ttl', { ttl: 1.5 }],
      ['a list as the body', []],
    ])('refuses %s, naming what is wrong', async (_what, body) => {
      const answer = await mint(body);
      expect(answer.statusCode).toBe(400);
      expect(answer.json()).toEqual({
        error: 'invalid_request',
        error_description: expect.stringMatching(/\w+ \w+/),
      });
    });

    const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
    test.each([
      ['33 lists', nested(33)],
      ['8000 lists', nested(8000)],
      ['objects', `${'{"a":'.repeat(2500)}1${'}'.repeat(2500)}`],
      ['objects in lists', `{"a":[],"b":${nested(32)},"c":1}`],
    ])('refuses a context of %s in each other', async (_what, context) => {
      const headers = { ...bearer, 'content-type': 'application/json' };
      const payload = `{"context":${context}}`;
      const answer = await broker.app.inject({ method: 'POST', url: '/tickets', headers, payload });
      const error_description = 'context is nested more than 32 deep';
      expect([answer.statusCode, answer.json()]).toEqual([
        400,
        { error: 'invalid_request', error_description },
      ]);
    });

    test.each([nested(32), `[${`${nested(31)},`.repeat(20)}null]`, `{"a":${nested(31)}}`])(
      'carries a context as deep as may be',
      async (context) => {
        const { ticket } = (await mint({ context: JSON.parse(context) })).json();
        expect(await redeemed(ticket)).toMatchObject({ context: JSON.parse(context) });
      },
    );

    test.each([
      ['broken JSON', '{"rooms":', 'application/json', 400],
      ['a prototype', '{"__proto__":{"sub":"root"}}', 'application/json', 400],
      ['null', 'null', 'application/json', 400],
      ['1 MiB', `{"context":"${'x'.repeat(1024 * 1024)}"}`, 'application/json', 413],
      ['a form', 'ttl=30', 'application/x-www-form-urlencoded', 415],
      ['text', '{}', 'text/plain', 415],
    ])('refuses %s', async (_what, payload, type, status) => {
      const headers = { ...bearer, 'content-type': type };
      const answer = await broker.app.inject({ method: 'POST', url: '/tickets', headers, payload });
      expect(answer.statusCode).toBe(status);
      expect(answer.json()).toEqual({ error: expect.any(String), error_description: expect.any(String) });
    });

    test('asks for a credential, as RFC 6750 does', async () => {
      const without = await mint({}, {});
      expect([without.statusCode, without.headers['www-authenticate']]).toEqual([401, 'Bearer']);
      const wrong = await mint({}, { authorization: 'Bearer wrong' });
      expect([wrong.statusCode, wrong.headers['www-authenticate']]).toEqual([
        401,
        'Bearer error="invalid_token"',
      ]);
    });

    test('mints for whom a service key names', async () => {
      const { ticket } = (await mint({ sub: 'bob', username: 'Bob' }, service('minter'))).json();
      expect(await redeemed(ticket)).toMatchObject({ sub: 'bob', username: 'Bob', minted_by: 'minter' });
      expect((await mint({}, service('minter'))).json().error_description).toContain('sub is required');
    });

    test('names nobody by half of a surrogate pair, who would be somebody else in the store', async () => {
      for (const sub of ['\ud800', 'bob \udfff', '\udc00\ud800']) {
        const answers = [
          await mint({ sub }, service('minter')),
          await mint({ sub: 'bob', username: sub }, service('minter')),
          await broker.app.inject({
            method: 'POST',
            url: '/revocations',
            headers: service('revoker'),
            payload: { sub },
          }),
        ];
        expect(answers.map(({ statusCode }) => statusCode)).toEqual([400, 400, 400]);
        expect(answers[0]?.json().error_description).toMatch(/^sub /);
      }
      const { ticket } = (await mint({ sub: '🎟'.repeat(255), rooms: ['🎟'] }, service('minter'))).json();
      expect(await redeemed(ticket)).toMatchObject({ sub: '🎟'.repeat(255), rooms: ['🎟'] });
    });

    test('needs the scope', async () => {
      const answer = await mint({ sub: 'bob' }, service('reader'));
      expect(answer.statusCode).toBe(403);
      expect(answer.json().error).toBe('insufficient_scope');
    });

    test('does not promise an address binding that nobody would check', async () => {
      const careless = await testApp();
      const headers = { authorization: `Bearer ${await careless.token()}` };
      const answer = await careless.app.inject({
        method: 'POST',
        url: '/tickets',
        headers,
        payload: { bind: { ip: '192.0.2.1' } },
      });
      expect(answer.statusCode).toBe(400);
      expect(answer.json().error_description).toContain('BIND_IP');
      await careless.close();
    });
  });

  test.each(['sub', 'username'])('no secret is taken for a %s, which goes into every log', async (field) => {
    const headers = { authorization: `Bearer ${keyOf('minter')}` };
    for (const secret of [`wst_${'A'.repeat(43)}`, `x wsk_${'A'.repeat(43)}`, 'eyJhbGciOi.eyJzdWIiOi.c2ln']) {
      const refused = await mint({ sub: 'alice', [field]: secret }, headers);
      expect([refused.statusCode, refused.json().error]).toEqual([400, 'invalid_request']);
      expect(refused.body).not.toContain(secret);
    }
    for (const name of ['eyJ alice', 'auth0|wst_user', 'José']) {
      expect((await mint({ sub: 'alice', [field]: name }, headers)).statusCode).toBe(201);
    }
  });

  describe('DELETE', () => {
    const remove = (id: string, headers: Record<string, string> = bearer) =>
      broker.app.inject({ method: 'DELETE', url: `/tickets/${id}`, headers });

    test('takes back one’s own, and is not surprised by the second time', async () => {
      const { ticket, ticket_id } = (await mint()).json();
      expect((await remove(ticket_id)).statusCode).toBe(204);
      expect((await remove(ticket_id)).statusCode).toBe(204);
      expect(await redeemed(ticket)).toEqual({ outcome: 'revoked' });
    });

    test('answers 404 for another’s, and leaves it', async () => {
      const { ticket, ticket_id } = (await mint({ sub: 'bob' }, service('minter'))).json();
      expect((await remove(ticket_id)).statusCode).toBe(404);
      expect((await remove(ticket_id, service('reader'))).statusCode).toBe(404);
      expect(await redeemed(ticket)).toMatchObject({ sub: 'bob' });
    });

    test.each(['minter', 'revoker'] as const)('is open to the %s', async (who) => {
      const { ticket, ticket_id } = (await mint({ sub: 'bob' }, service('minter'))).json();
      expect((await remove(ticket_id, service(who))).statusCode).toBe(204);
      expect(await redeemed(ticket)).toEqual({ outcome: 'revoked' });
    });

    test('answers 204 for an unknown one and for a spent one', async () => {
      const { ticket, ticket_id } = (await mint()).json();
      await redeemed(ticket);
      expect((await remove(ticket_id)).statusCode).toBe(204);
      expect((await remove('A'.repeat(22))).statusCode).toBe(204);
    });

    test('refuses what is no ticket id, and a ticket in its place', async () => {
      const { ticket } = (await mint()).json();
      const answer = await remove(ticket);
      expect(answer.statusCode).toBe(400);
      expect(answer.body).not.toContain(ticket);
      expect((await remove('A'.repeat(22), {})).statusCode).toBe(401);
    });
  });

  describe('POST /tickets/revoke', () => {
    const revoke = (payload: object) =>
      broker.app.inject({ method: 'POST', url: '/tickets/revoke', payload });

    test('needs nothing but the ticket, and always answers 200', async () => {
      const { ticket } = (await mint()).json();
      for (const value of [ticket, ticket, 'nonsense', `wst_${'A'.repeat(43)}`]) {
        const answer = await revoke({ ticket: value });
        expect([answer.statusCode, answer.json()]).toEqual([200, {}]);
      }
      expect(await redeemed(ticket)).toEqual({ outcome: 'revoked' });
    });

    test('needs a ticket', async () => {
      expect((await revoke({})).json().error_description).toBe('ticket is required');
      expect((await revoke({ ticket: 7 })).statusCode).toBe(400);
    });
  });

  test('no answer that is logged holds a secret', async () => {
    const { ticket } = (await mint()).json();
    await broker.app.inject({ method: 'GET', url: `/nowhere?ticket=${ticket}` });
    await broker.app.inject({ method: 'GET', url: `/%zz?ticket=${ticket}` });
    const logs = broker.logs();
    expect(logs).toContain('"decision":"mint"');
    expect(logs).not.toContain(ticket);
    expect(logs).not.toContain(bearer.authorization.slice(7));
    for (const name of ['minter', 'revoker', 'reader']) expect(logs).not.toContain(keyOf(name));
  });
});

test('a ticket can be bound to the origin of an app, where that is allowed', async () => {
  const origin = 'capacitor://localhost';
  const broker = await testApp({ env: { ALLOWED_ORIGINS: origin } });
  const { ticket, ticket_id } = await broker.ticket({ bind: { origin } });
  const refused = await broker.store.redeem(ticket_id, aClaim({ origin: 'https://app.example' }));
  expect(refused).toEqual({ outcome: 'misfit', misfit: 'origin' });
  const { statusCode } = await broker.app.inject({ url: `/verify?ticket=${ticket}`, headers: { origin } });
  expect(statusCode).toBe(200);
  await broker.close();
});

test.each([
  ['wss://sockets.example', 'wss://sockets.example/?ticket='],
  ['wss://sockets.example/chat', 'wss://sockets.example/chat?ticket='],
  ['wss://sockets.example/chat?v=2', 'wss://sockets.example/chat?v=2&ticket='],
])('with PUBLIC_WS_URL=%s, a ticket comes with the URL of the WebSocket there', async (publicUrl, begins) => {
  const broker = await testApp({ env: { PUBLIC_WS_URL: publicUrl } });
  const headers = { authorization: `Bearer ${await broker.token()}` };
  const { ticket, url } = (await broker.app.inject({ method: 'POST', url: '/tickets', headers })).json();
  expect(url).toBe(`${begins}${ticket}`);
  await broker.close();
});
