import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { createTicketSocket, type TicketSocketOptions } from '../../src/client/client.ts';
import { type BrokerProcess, secretsIn, sharedStore, startBroker } from '../support/broker-process.ts';
import { shortBackoff, type Watched, watchedAt } from '../support/e2e-client.ts';
import { until } from '../support/e2e-until.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const decisionsOf = (brokers: readonly BrokerProcess[], decision: string) =>
  brokers
    .flatMap((broker) => broker.decisions())
    .filter((line) => line['decision'] === decision)
    .map(({ reason }) => reason);

const isRedemption = ({ decision }: Record<string, unknown>) => decision === 'redeem';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a node that goes away', () => {
  test.each([
    ['is stopped', 'SIGTERM', /^1012 /],
    ['is killed', 'SIGKILL', /^(1006|connection lost)/],
  ] as const)('%s: all come back to the next, each with a fresh ticket', async (_how, signal, why) => {
    const env = { ...sharedStore(inject('redisUrl')), DRAIN_TIMEOUT: '5', CHAT: 'off' };
    const first = await startBroker(env);
    const token = await first.token();
    const clients = Array.from({ length: 20 }, () => watchedAt(first, { token }));
    await Promise.all(clients.map((client) => client.welcomed()));

    process.kill(first.pid, signal);
    await Promise.all(
      clients.map((client) => until(() => client.waits().length > 0, 'the client has noticed')),
    );
    for (const client of clients) expect(client.socket.send({ type: 'meanwhile' })).toBe(true);
    await first.stop();
    await using second = await startBroker({ ...env, PORT: `${first.port}` });
    await Promise.all(clients.map((client) => client.welcomed(2)));

    for (const client of clients) {
      expect(client.waits()[0]?.why).toMatch(why);
      // Sent while there was no connection, it has reached the next one: which does not know what to do with it.
      await until(() => client.messages.length === 1, 'an answer');
      expect(client.messages).toEqual([expect.objectContaining({ error: 'unknown_type' })]);
    }
    const sessions = clients.flatMap(({ welcomes }) => welcomes.map(({ session_id }) => session_id));
    expect(new Set(sessions).size).toBe(40);
    const redeemed = () => [first, second].flatMap((broker) => broker.decisions()).filter(isRedemption);
    await expect.poll(() => redeemed().map(({ reason }) => reason)).toEqual(new Array(40).fill('ok'));
    expect(new Set(redeemed().map(({ ticket_id }) => ticket_id)).size).toBe(40);
    for (const client of clients) client.socket.close();
    expect(secretsIn(clients.flatMap(({ lines }) => lines).join('\n'))).toEqual([]);
  });

  test('says when to come back, and each comes back then and no sooner', async () => {
    const env = { ...sharedStore(inject('redisUrl')), DRAIN_TIMEOUT: '5' };
    const first = await startBroker(env);
    const token = await first.token();
    // Its own backoff would take minutes.
    const backoff = { baseMs: 600_000, capMs: 600_000 };
    const clients = Array.from({ length: 5 }, () => watchedAt(first, { token, backoff }));
    await Promise.all(clients.map((client) => client.welcomed()));
    await first.stop();
    for (const client of clients) {
      await until(() => client.waits().length > 0, 'the client has noticed');
      const [{ why, waitMs } = { why: '', waitMs: -1 }] = client.waits();
      expect(waitMs).toBe(JSON.parse(why.replace('1012 ', '')).reconnect_after_ms);
      client.socket.close();
    }
  });
});

test.each([
  [100, 'the usual limits', 20, {}],
  [12, 'a low limit', 4, { MESSAGE_LIMIT: '4' }],
  [12, 'no limit', undefined, { MESSAGE_LIMIT: '0' }],
])(
  '%i messages that waited reach a broker with %s, all of them, in order',
  async (length, _of, limit, env) => {
    await using broker = await startBroker(env);
    using client = watchedAt(broker);
    const sent = Array.from({ length }, (_, n) => n);
    for (const n of sent) expect(client.socket.send({ type: 'message', n })).toBe(true);
    const said = () => client.messages as { type: string; n?: number; error?: string }[];
    await until(
      () => said().some(({ type, n }) => type === 'error' || n === length - 1),
      'the last, or a refusal',
    );
    expect(said().filter(({ type }) => type === 'error')).toEqual([]);
    expect(said().flatMap(({ type, n }) => (type === 'message' ? n : []))).toEqual(sent);
    expect(client.welcomes[0]?.message_limit).toBe(limit);
  },
);

describe('a broker that cannot answer', () => {
  test('503 for a while: nobody is logged out, and all come back', async () => {
    const redisUrl = new URL(inject('redisUrl'));
    const proxy = await startTcpProxy(Number(redisUrl.port || 6379));
    const shared = sharedStore(inject('redisUrl'));
    const behind = new URL(redisUrl);
    behind.port = `${proxy.port}`;
    await using broker = await startBroker({
      ...shared,
      REDIS_URL: behind.href,
      REDIS_COMMAND_TIMEOUT: '500',
    });
    await until(async () => (await fetch(`${broker.url}/readyz`)).ok, 'the broker is ready');
    using client = watchedAt(broker, { token: await broker.token() });
    await client.welcomed();

    proxy.swallowReplies();
    client.socket.reconnect();
    const refusals = () => client.waits().filter(({ why }) => why === 'no ticket: 503 store_unavailable');
    await until(() => refusals().length >= 3, 'three refusals');
    proxy.cut();
    await client.welcomed(2);
    // Its Retry-After is a second.
    for (const { waitMs } of refusals()) expect(waitMs).toBeGreaterThanOrEqual(1000);
    expect(client.closed).toEqual([]);
    await proxy.close();
  });

  test('429 with Retry-After: it waits as long as it is told', async () => {
    await using broker = await startBroker({ MINT_LIMIT: '1', ATTEMPT_WINDOW: '3' });
    using client = watchedAt(broker);
    await client.welcomed();
    const asked = performance.now();
    client.socket.reconnect();
    await client.welcomed(2);
    const [{ why, waitMs } = { why: '', waitMs: 0 }] = client.waits();
    expect(why).toBe('no ticket: 429 rate_limited');
    expect(waitMs).toBeGreaterThanOrEqual(1000);
    expect(performance.now() - asked).toBeGreaterThanOrEqual(waitMs);
    // Asked twice in all: once too early, once when it was time.
    expect(client.waits()).toHaveLength(1);
    await expect.poll(() => decisionsOf([broker], 'mint')).toEqual(['ok', 'mint_address_limit', 'ok']);
  });

  test('nobody there: it goes on trying, and waits a little longer each time, up to a limit', async () => {
    const gone = await startBroker();
    const token = await gone.token();
    await gone.stop();
    using client = watchedAt(gone, { token, backoff: { baseMs: 10, capMs: 80 } });
    vi.spyOn(Math, 'random').mockReturnValue(0.9999);
    await until(() => client.waits().length >= 6, 'six failures');
    expect(
      client
        .waits()
        .slice(0, 6)
        .map(({ waitMs }) => waitMs),
    ).toEqual([10, 20, 40, 80, 80, 80]);
    expect(client.socket.status.status).not.toBe('closed');
  });
});

describe('what ends a session', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    const SERVICE_KEYS_FILE = serviceKeysFile({ admin: 'revoke' });
    broker = await startBroker({ ...sharedStore(inject('redisUrl')), SERVICE_KEYS_FILE, ATTEMPT_LIMIT: '0' });
  });
  afterAll(() => broker?.stop());

  test('a revocation, for good', async () => {
    const mints = decisionsOf([broker], 'mint').length + 1;
    using client = watchedAt(broker);
    await client.welcomed();
    await expect.poll(() => decisionsOf([broker], 'mint')).toHaveLength(mints);
    const answer = await fetch(`${broker.url}/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyOf('admin')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ session_id: client.welcomes[0]?.session_id, reason: 'fired' }),
    });
    expect(answer.status).toBe(200);
    expect(await client.end()).toEqual({ reason: 'revoked', why: '3003 fired', unsent: [] });
    expect(client.socket.send('anything')).toBe(false);
    expect(decisionsOf([broker], 'mint')).toHaveLength(mints);

    // It is no secret that one may try again: with another session, it works.
    client.socket.reconnect();
    await client.welcomed(2);
  });

  test('a message that the server does not take, for good', async () => {
    using client = watchedAt(broker);
    client.socket.send('[]');
    expect(await client.end()).toMatchObject({ reason: 'refused', why: expect.stringMatching(/^1008 /) });
  });

  test('its end: the next one begins', async () => {
    await using shortLived = await startBroker({ SESSION_TTL: '2' });
    using client = watchedAt(shortLived);
    await client.welcomed(2);
    expect(client.waits()).toEqual([expect.objectContaining({ why: '3000 session ended' })]);
    client.socket.close();
    await expect.poll(() => decisionsOf([shortLived], 'redeem')).toEqual(['ok', 'ok']);
  });

  test('the application: nothing happens any more, and it learns what was not sent', async () => {
    const node = await startBroker();
    await node.stop();
    using client = watchedAt(node, { token: 'of no use' });
    client.socket.send({ n: 1 });
    client.socket.send('two');
    await until(() => client.waits().length > 2, 'some failures');
    client.socket.close();
    client.socket.close();
    expect(client.closed).toEqual([
      { reason: 'disconnected', why: 'close() was called', unsent: ['{"n":1}', 'two'] },
    ]);
    const lines = client.lines.length;
    await new Promise((resolve) => setTimeout(resolve, shortBackoff.capMs * 2));
    expect(client.lines).toHaveLength(lines);
  });
});

describe('a session that is about to end', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    // The warning comes a minute before: after two seconds.
    broker = await startBroker({ SESSION_TTL: '63' });
  });
  afterAll(() => broker?.stop());

  const expiringAt = async (options: Partial<TicketSocketOptions> = {}) => {
    const asked: string[] = [];
    const client = watchedAt(broker, {
      ...options,
      token: (occasion) => {
        asked.push(occasion);
        return broker.token();
      },
    });
    const expiring: number[] = [];
    const refreshed: number[] = [];
    const begun = performance.now();
    client.socket.on('expiring', ({ expires_in }) => expiring.push(expires_in));
    client.socket.on('refreshed', ({ expires_in }) => refreshed.push(expires_in));
    await until(() => expiring.length > 0, 'the warning');
    /** Whole seconds that have gone by at most since a session of the broker could begin. */
    const gone = () => Math.ceil((performance.now() - begun) / 1000);
    return { ...client, asked, expiring, refreshed, gone };
  };

  test('is moved on with a fresh ticket, on the same socket', async () => {
    // Each would ask at a moment of its own within half a minute.
    vi.spyOn(Math, 'random').mockReturnValue(0);
    using client = await expiringAt();
    await until(() => client.refreshed.length > 0, 'an answer');
    // A minute before, or as much later as the broker was kept from running; a ticket's life counts from its mint.
    expect(client.expiring).toEqual([expect.toSatisfy((left) => left <= 60 && left >= 63 - client.gone())]);
    expect(client.refreshed).toEqual([expect.toSatisfy((left) => left <= 63 && left >= 63 - client.gone())]);
    expect(client.refreshed[0]).toBeGreaterThan(client.expiring[0] ?? 63);
    expect(client.asked).toEqual(['connect', 'expiring']);
    expect(client.statuses).toEqual([{ status: 'connected' }]);
    expect(client.messages).toEqual([]);
    // No other socket: the refresh is none of the gate's decisions.
    await expect.poll(() => decisionsOf([broker], 'mint')).toEqual(['ok', 'ok']);
    expect(decisionsOf([broker], 'redeem')).toEqual(['ok']);
  });

  test('is left alone where that is wished', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    using client = await expiringAt({ refresh: false });
    client.socket.send({ type: 'anything' });
    await until(() => client.messages.length > 0, 'an answer to what was sent later');
    expect(client.asked).toEqual(['connect']);
    expect(client.refreshed).toEqual([]);
  });
});

describe('a token that is refused', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({ ALLOWED_ORIGINS: 'http://app.example' });
  });
  afterAll(() => broker?.stop());

  const asking = (tokens: string[]): { client: Watched; asked: string[] } => {
    const asked: string[] = [];
    const client = watchedAt(broker, {
      token: (occasion) => {
        asked.push(occasion);
        return tokens.shift();
      },
    });
    return { client, asked };
  };

  test('is asked for again, once, and then it works', async () => {
    const { client, asked } = asking(['outdated', await broker.token()]);
    using _ = client;
    await client.welcomed();
    expect(asked).toEqual(['connect', 'rejected']);
    expect(client.waits()).toEqual([]);
  });

  test('is asked for again, once, and then it is over, until somebody logs in', async () => {
    const { client, asked } = asking(['outdated', 'outdated, too', await broker.token()]);
    using _ = client;
    expect(await client.end()).toEqual({
      reason: 'unauthorized',
      why: 'no ticket: 401 invalid_token',
      unsent: [],
    });
    expect(asked).toEqual(['connect', 'rejected']);
    client.socket.reconnect();
    await client.welcomed();
  });

  test('and cannot be another one: it is over at once', async () => {
    const before = decisionsOf([broker], 'mint').length;
    using client = watchedAt(broker, { token: 'outdated' });
    expect(await client.end()).toMatchObject({ reason: 'unauthorized' });
    await expect.poll(() => decisionsOf([broker], 'mint').slice(before)).toEqual(['unknown_credential']);
  });

  test('for what is asked for: it is over, and says so', async () => {
    await using store = await startBroker({ SERVICE_KEYS_FILE: serviceKeysFile({ other: 'revoke' }) });
    using client = watchedAt(store, { token: keyOf('other') });
    expect(await client.end()).toMatchObject({ why: 'no ticket: 403 insufficient_scope' });
  });

  test('a request for a ticket that is malformed is not repeated', async () => {
    using client = watchedAt(broker, { wishes: { ttl: 0 } });
    expect(await client.end()).toMatchObject({
      reason: 'bad_request',
      why: 'no ticket: 400 invalid_request',
    });
  });

  test('nobody logged in, and no cookie either', async () => {
    using client = watchedAt(broker, { token: undefined });
    expect(await client.end()).toMatchObject({ reason: 'unauthorized' });
  });
});

describe('refusals that are said on an open socket (WS_REJECT=close)', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({ WS_REJECT: 'close', ATTEMPT_LIMIT: '2', ATTEMPT_WINDOW: '5' });
  });
  afterAll(() => broker?.stop());

  test('a stale ticket: it takes a fresh one', async () => {
    const tickets = ['wst_stale', (await broker.mint()).ticket];
    using client = watchedAt(broker, { getTicket: () => ({ ticket: tickets.shift() ?? '' }) });
    await client.welcomed();
    expect(client.waits().map(({ why }) => why)).toEqual(['1008 invalid_ticket']);
  });

  test('a room that is not allowed: it gives up', async () => {
    using client = watchedAt(broker, { url: `${broker.url}/ws?room=tech`, wishes: { rooms: ['lobby'] } });
    expect(await client.end()).toMatchObject({ reason: 'refused', why: '1008 room_forbidden' });
  });

  test('too many attempts: it tries again later', async () => {
    const stale = ['1', '2', '3'];
    using client = watchedAt(broker, {
      getTicket: async () => {
        const next = stale.shift();
        return next ? { ticket: `wst_${next.repeat(43)}` } : broker.mint();
      },
    });
    await client.welcomed();
    const whys = client.waits().map(({ why }) => why);
    expect(whys).toContain('1008 invalid_ticket');
    expect(whys).toContain('1013 rate_limited');
  });
});

test('a socket for what is no address is not made', () => {
  expect(() => createTicketSocket({ url: 'ftp://chat.example' })).toThrow(TypeError);
});
