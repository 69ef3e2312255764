import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../../src/store/memory.ts';
import { memoryFeed } from '../../../src/store/memory-feed.ts';
import { mint } from '../../../src/tickets/mint.ts';
import { type PresentDeps, presenter } from '../../../src/tickets/present.ts';
import { ticketId } from '../../../src/tickets/ticket.ts';
import { createGate, type GateOptions, type Knock } from '../../../src/ws/gate.ts';
import { selectProtocol } from '../../../src/ws/handshake.ts';
import { aRecord } from '../../support/records.ts';

function setUp(options: Partial<GateOptions & PresentDeps> = {}) {
  const { now = Date.now } = options;
  const store = memoryStore({ now });
  const present = presenter({
    store,
    now,
    randomBytes,
    sessionTtl: 28_800,
    attempts: { limit: 10, windowMs: 60_000, counting: 'failed' },
    bindIp: 'off',
    feed: memoryFeed({ now, retention: 60_000 }),
    onReplay: async () => {},
    ...options,
  });
  const gate = createGate({
    present,
    tokenSession: () => Promise.reject(new Error('nobody shows a token here')),
    accept: new Set(['ticket']),
    allowedOrigins: undefined,
    audience: undefined,
    ...options,
  });
  const headers = {
    host: 'chat.example',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  const knock = (over: Partial<Knock> & { tickets?: readonly string[] } = {}) =>
    gate
      .admit({
        tickets: [],
        rooms: [],
        address: '192.0.2.1',
        host: 'chat.example',
        ...over,
        headers: { ...headers, ...over.headers },
      })
      .then((opened) => {
        if (!opened) throw new Error('the gate waits for a ticket');
        return opened.session;
      });
  const ticket = async (record = {}) => (await mint({ store, randomBytes }, aRecord(record), 30)).ticket;
  return { knock, ticket, store };
}

describe('the gate', () => {
  test('opens for a ticket in the query, once', async () => {
    const at = Date.now();
    const { knock, ticket } = setUp({ now: () => at });
    const tickets = [await ticket()];
    const session = await knock({ tickets });
    expect(session).toMatchObject({ record: { sub: 'alice' }, deadline: at + 3_600_000 });
    await expect(knock({ tickets })).rejects.toMatchObject({
      code: 'invalid_ticket',
      reason: 'replayed',
      facts: { session_id: session.session_id },
    });
  });

  test('opens for a ticket among the subprotocols', async () => {
    const { knock, ticket } = setUp();
    const headers = { 'sec-websocket-protocol': `chat, ticket.${await ticket()}` };
    expect(await knock({ headers })).toMatchObject({ record: { sub: 'alice' } });
  });

  test('refuses an unknown, a spent and a revoked ticket with the same words', async () => {
    const { knock, ticket, store } = setUp();
    const [spent, revoked] = [await ticket(), await ticket()];
    await knock({ tickets: [spent] });
    await store.revoke(ticketId(revoked), 'holder');
    const refusal = (value: string) =>
      knock({ tickets: [value] }).catch(({ code, message }) => ({ code, message }));
    const unknown = await refusal(`wst_${'A'.repeat(43)}`);
    expect(await refusal(spent)).toEqual(unknown);
    expect(await refusal(revoked)).toEqual(unknown);
  });

  test.each([
    ['no host', { host: undefined }, 'invalid_request'],
    ['no version', { 'sec-websocket-version': undefined }, 'upgrade_required'],
    ['version 12', { 'sec-websocket-version': '12' }, 'upgrade_required'],
    ['no key', { 'sec-websocket-key': undefined }, 'invalid_request'],
    ['a short key', { 'sec-websocket-key': 'abc=' }, 'invalid_request'],
    ['a broken list of subprotocols', { 'sec-websocket-protocol': 'chat,,x' }, 'invalid_request'],
    ['a subprotocol twice', { 'sec-websocket-protocol': 'chat, chat' }, 'invalid_request'],
  ])('refuses a handshake with %s, and leaves the ticket unspent', async (_what, headers, code) => {
    const { knock, ticket } = setUp();
    const tickets = [await ticket()];
    await expect(knock({ tickets, headers: headers as Knock['headers'] })).rejects.toMatchObject({ code });
    expect(await knock({ tickets })).toMatchObject({ record: { sub: 'alice' } });
  });

  test('refuses an offer of nothing but a ticket, which a browser would fail anyway', async () => {
    const { knock, ticket } = setUp();
    const value = await ticket();
    const headers = { 'sec-websocket-protocol': `ticket.${value}` };
    await expect(knock({ headers })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await knock({ tickets: [value] })).toBeDefined();
  });

  test.each([
    ['two in the query', (a: string, b: string) => ({ tickets: [a, b] })],
    ['the same one twice', (a: string) => ({ tickets: [a, a] })],
    [
      'one here, one there',
      (a: string, b: string) => ({
        tickets: [a],
        headers: { 'sec-websocket-protocol': `chat, ticket.${b}` },
      }),
    ],
    [
      'two subprotocols',
      (a: string, b: string) => ({ headers: { 'sec-websocket-protocol': `chat, ticket.${a}, ticket.${b}` } }),
    ],
  ])('refuses several tickets: %s, and spends none', async (_what, several) => {
    const { knock, ticket } = setUp();
    const [a, b] = [await ticket(), await ticket()];
    await expect(knock(several(a, b))).rejects.toMatchObject({
      code: 'invalid_request',
      reason: 'several_tickets',
    });
    expect(await knock({ tickets: [a] })).toBeDefined();
    expect(await knock({ tickets: [b] })).toBeDefined();
  });

  test.each([
    '',
    'wst_',
    'nonsense',
    `wst_${'A'.repeat(42)}`,
    `wst_${'A'.repeat(44)}`,
    `wst_${'A'.repeat(42)}=`,
    `x${'A'.repeat(46)}`,
  ])('refuses %j as a ticket without counting it', async (value) => {
    const { knock, ticket } = setUp();
    for (let index = 0; index < 20; index++) {
      await expect(knock({ tickets: [value] })).rejects.toMatchObject({
        code: 'invalid_ticket',
        reason: 'malformed',
      });
    }
    expect(await knock({ tickets: [await ticket()] })).toBeDefined();
  });

  test('asks for a ticket', async () => {
    await expect(setUp().knock()).rejects.toMatchObject({ code: 'invalid_ticket', reason: 'no_ticket' });
  });

  describe('checks the origin before the ticket', () => {
    test.each([
      [undefined, 'https://chat.example', true],
      [undefined, 'http://chat.example', true],
      [undefined, 'https://CHAT.example', true],
      [undefined, 'https://chat.example:444', false],
      [undefined, 'https://evil.example', false],
      [undefined, 'https://chat.example.evil.example', false],
      [undefined, 'null', false],
      [undefined, 'nonsense', false],
      [new Set(['https://app.example']), 'https://app.example', true],
      [new Set(['https://app.example']), 'https://chat.example', false],
      ['*' as const, 'https://anywhere.example', true],
      [undefined, undefined, true],
    ])('allowed %s, origin %s: %s', async (allowedOrigins, origin, admitted) => {
      const { knock, ticket } = setUp({ allowedOrigins });
      const tickets = [await ticket()];
      const answer = knock({ tickets, headers: origin === undefined ? {} : { origin } });
      if (admitted) expect(await answer).toBeDefined();
      else {
        await expect(answer).rejects.toMatchObject({ code: 'origin_forbidden' });
        expect(await knock({ tickets, headers: {} })).toBeDefined();
      }
    });
  });

  test.each([
    ['audience', { aud: 'chat' }, { audience: 'games' }, {}, 'binding_mismatch', 'aud_mismatch'],
    ['audience, where the gate has none', { aud: 'chat' }, {}, {}, 'binding_mismatch', 'aud_mismatch'],
    [
      'origin',
      { origin: 'https://other.example' },
      {},
      { headers: { origin: 'https://chat.example' } },
      'binding_mismatch',
      'origin_mismatch',
    ],
    ['address', { ip: '192.0.2.9' }, { bindIp: 'exact' as const }, {}, 'binding_mismatch', 'ip_mismatch'],
    ['room', { rooms: ['lobby'] }, {}, { rooms: ['attic'] }, 'room_forbidden', 'room_forbidden'],
  ])(
    'refuses the wrong %s and does not spend the ticket',
    async (_what, record, options, over, code, reason) => {
      const { knock, ticket } = setUp(options);
      const tickets = [await ticket(record)];
      await expect(knock({ tickets, ...over })).rejects.toMatchObject({ code, reason, status: 403 });
      await expect(knock({ tickets, ...over })).rejects.toMatchObject({ code, reason });
    },
  );

  test('refuses a session no longer than its ticket allows', async () => {
    const { knock, ticket } = setUp({ sessionTtl: 10 });
    const session = await knock({ tickets: [await ticket()] });
    expect(session.deadline).toBeLessThanOrEqual(Date.now() + 10_000);
  });

  test('counts refused tickets, and gives an admitted one its attempt back', async () => {
    const at = Date.now();
    const { knock, ticket } = setUp({ now: () => at });
    for (let index = 0; index < 30; index++) await knock({ tickets: [await ticket()] });
    for (let index = 0; index < 10; index++) {
      await expect(knock({ tickets: [`wst_${'A'.repeat(43)}`] })).rejects.toMatchObject({
        code: 'invalid_ticket',
      });
    }
    const last = await ticket();
    await expect(knock({ tickets: [last] })).rejects.toMatchObject({ code: 'rate_limited', retryAfter: 60 });
    expect(await knock({ tickets: [last], address: '192.0.2.2' })).toBeDefined();
  });
});

test('the server answers the first subprotocol that is not a ticket', () => {
  expect(selectProtocol(['ticket.x', 'chat', 'other'])).toBe('chat');
  expect(selectProtocol(['ticket.x'])).toBe(false);
});
