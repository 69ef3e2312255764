import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestApp, testApp } from '../../support/app.ts';
import { keyOf, serviceKeysFile } from '../../support/service-keys.ts';

describe('POST /tickets/redeem', () => {
  let broker: TestApp;
  beforeAll(async () => {
    const keys = serviceKeysFile({
      node: 'tickets:redeem',
      other: 'tickets:redeem',
      minter: 'tickets:mint',
      root: 'tickets:mint,tickets:redeem,revoke,sessions:read',
    });
    broker = await testApp({ env: { SERVICE_KEYS_FILE: keys, BIND_IP: 'exact', LOGIN_LIMIT: '0' } });
  });
  afterAll(() => broker.close());

  const bearer = (name: string) => ({ authorization: `Bearer ${keyOf(name)}` });
  const redeem = (payload: object, name = 'node') =>
    broker.app.inject({ method: 'POST', url: '/tickets/redeem', headers: bearer(name), payload });
  const inactive = { active: false };

  test('tells what the ticket stands for, once', async () => {
    const { ticket } = await broker.ticket({ rooms: ['lobby'], context: { plan: 'pro' } });
    const first = await redeem({ ticket });
    expect(first.statusCode).toBe(200);
    expect(first.headers['cache-control']).toBe('no-store');
    expect(first.json()).toEqual({
      active: true,
      sub: 'alice',
      username: 'alice',
      rooms: ['lobby'],
      context: { plan: 'pro' },
      session_id: expect.stringMatching(/^[\w-]{22}$/),
      exp: expect.closeTo(Date.now() / 1000 + 3600, -1),
      auth_time: expect.closeTo(Date.now() / 1000, -1),
    });
    expect((await redeem({ ticket })).json()).toEqual(inactive);
  });

  test('answers alike for unknown, malformed, used and revoked tickets', async () => {
    const { ticket, ticket_id } = await broker.ticket();
    await broker.store.revoke(ticket_id, 'holder');
    for (const bad of [`wst_${'A'.repeat(43)}`, 'nonsense', '', ticket]) {
      const answer = await redeem({ ticket: bad });
      expect([answer.statusCode, answer.json()]).toEqual([200, inactive]);
    }
    expect(
      broker
        .decisions()
        .slice(-4)
        .map(({ reason }) => reason),
    ).toEqual(['unknown', 'malformed', 'malformed', 'revoked']);
  });

  test('repeats its answer to the same key with the same redemption_id, and to nobody else', async () => {
    const { ticket } = await broker.ticket();
    const first = (await redeem({ ticket, redemption_id: 'handshake-7' })).json();
    expect(first).toMatchObject({ active: true });
    expect((await redeem({ ticket, redemption_id: 'handshake-7' })).json()).toEqual(first);
    expect((await redeem({ ticket, redemption_id: 'handshake-8' })).json()).toEqual(inactive);
    expect((await redeem({ ticket })).json()).toEqual(inactive);
    expect((await redeem({ ticket, redemption_id: 'handshake-7' }, 'other')).json()).toEqual(inactive);
  });

  test.each([
    ['aud', { aud: 'chat' }, { aud: 'games' }, { aud: 'chat' }, 'binding_mismatch'],
    [
      'origin',
      { bind: { origin: 'https://a.example' } },
      { origin: 'https://b.example' },
      { origin: 'https://a.example' },
      'binding_mismatch',
    ],
    ['ip', { bind: { ip: '192.0.2.1' } }, { ip: '192.0.2.2' }, { ip: '192.0.2.1' }, 'binding_mismatch'],
    ['an ip that is not told', { bind: { ip: '192.0.2.1' } }, {}, { ip: '192.0.2.1' }, 'binding_mismatch'],
    ['room', { rooms: ['lobby'] }, { room: 'vault' }, { room: 'lobby' }, 'room_forbidden'],
  ])('refuses what does not fit, and leaves it unspent: %s', async (_what, minted, wrong, right, error) => {
    const { ticket } = await broker.ticket(minted);
    const refused = await redeem({ ticket, ...wrong });
    expect([refused.statusCode, refused.json().error]).toEqual([403, error]);
    expect((await redeem({ ticket, ...right })).json()).toMatchObject({ active: true });
  });

  test('limits the attempts of the address that it is told', async () => {
    const guess = () => redeem({ ticket: `wst_${'B'.repeat(43)}`, ip: '198.51.100.7' });
    for (let tries = 0; tries < 10; tries++) expect((await guess()).json()).toEqual(inactive);
    const { ticket } = await broker.ticket();
    const limited = await redeem({ ticket, ip: '198.51.100.7' });
    expect([limited.statusCode, limited.json().error]).toEqual([429, 'rate_limited']);
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
    expect((await redeem({ ticket, ip: '198.51.100.8' })).json()).toMatchObject({ active: true });
  });

  test('lists the session until it ends, and a revocation of its ticket reaches it', async () => {
    const { ticket, ticket_id } = await broker.ticket();
    const { session_id, exp } = (await redeem({ ticket, ip: '192.0.2.9' })).json();
    const listed = await broker.app.inject({ url: '/sessions?sub=alice', headers: bearer('root') });
    expect(listed.json().sessions).toContainEqual(
      expect.objectContaining({ session_id, exp, ip: '192.0.2.9', via: 'redeem' }),
    );
    const revoked = await broker.app.inject({
      method: 'POST',
      url: '/revocations',
      headers: bearer('root'),
      payload: { ticket_id },
    });
    expect(revoked.json()).toMatchObject({ sessions: 1 });
    const after = await broker.app.inject({ url: '/sessions?sub=alice', headers: bearer('root') });
    expect(after.json().sessions).not.toContainEqual(expect.objectContaining({ session_id }));
  });

  test.each([
    ['no key', {}, 401, 'invalid_token'],
    ['a key without the scope', bearer('minter'), 403, 'insufficient_scope'],
  ])('refuses %s, and spends nothing', async (_who, headers, status, error) => {
    const { ticket } = await broker.ticket();
    const refused = await broker.app.inject({
      method: 'POST',
      url: '/tickets/redeem',
      headers,
      payload: { ticket },
    });
    expect([refused.statusCode, refused.json().error]).toEqual([status, error]);
    expect((await redeem({ ticket })).json()).toMatchObject({ active: true });
  });

  test('refuses a user, who would learn what a stolen ticket stands for', async () => {
    const { ticket } = await broker.ticket();
    const headers = { authorization: `Bearer ${await broker.token()}` };
    const refused = await broker.app.inject({
      method: 'POST',
      url: '/tickets/redeem',
      headers,
      payload: { ticket },
    });
    expect(refused.statusCode).toBe(403);
  });

  test.each([
    ['no ticket', {}, 'ticket is required'],
    ['a ticket that is no text', { ticket: 7 }, 'ticket must be string'],
    ['an ip that is none', { ticket: 'x', ip: 'here' }, 'ip is not an IP address'],
    [
      'a redemption_id with a line break',
      { ticket: 'x', redemption_id: 'a\nb' },
      'redemption_id is empty, too long',
    ],
    ['a room that is none', { ticket: 'x', room: '' }, 'room is empty, too long'],
    ['an unknown field', { ticket: 'x', rooms: [] }, 'rooms is not a known field'],
  ])('says what is wrong with %s', async (_what, payload, text) => {
    const refused = await redeem(payload);
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error_description).toContain(text);
  });

  test.each(['wst_'.padEnd(47, 'A'), 'eyJa.eyJb.c', 'hunter2', 'a'.repeat(33)])(
    'repeats no unknown field that may be a secret: %s',
    async (field) => {
      const refused = await redeem({ ticket: 'x', [field]: 1 });
      expect(refused.json().error_description).toBe('a field is not a known field');
    },
  );
});
