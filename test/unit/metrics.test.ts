import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { createMetrics, type Watched } from '../../src/metrics.ts';
import { memoryFeed } from '../../src/store/memory-feed.ts';
import { type TestApp, testApp } from '../support/app.ts';
import { metricsTables } from '../support/metrics-table.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });

test('docs/metrics.md lists all of them', async () => {
  const document = readFileSync('docs/metrics.md', 'utf8');
  const { own, ofNode } = await metricsTables();
  expect(document).toContain(own);
  // Elsewhere than on Linux there are fewer.
  for (const row of ofNode.split('\n')) expect(document).toContain(row);
});

describe('a decision counts as what it was about', () => {
  let broker: TestApp;
  const value = async (series: string) => {
    const line = (await broker.metrics()).split('\n').find((text) => text.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  const post = (url: string, credential: string, payload: object) =>
    broker.app.inject({ method: 'POST', url, headers: bearer(credential), payload });
  const redeem = (payload: object) => post('/tickets/redeem', keyOf('node'), payload);

  beforeAll(async () => {
    broker = await testApp({
      env: {
        SERVICE_KEYS_FILE: serviceKeysFile({
          backend: 'tickets:mint,revoke,sessions:read',
          node: 'tickets:redeem',
        }),
        LOGIN_LIMIT: '3',
        ATTEMPT_LIMIT: '2',
        MINT_LIMIT: '4',
      },
    });
  });
  afterAll(() => broker.close());

  test('tickets by who asked for them', async () => {
    await broker.ticket();
    await post('/tickets', keyOf('backend'), { sub: 'bob', username: 'Bob Bobson' });
    await post('/tickets', keyOf('backend'), { sub: 'bob', rooms: ['den'], aud: 'chat' });
    expect(await value('ticket_broker_tickets_issued_total{by="user"}')).toBe(1);
    expect(await value('ticket_broker_tickets_issued_total{by="service"}')).toBe(2);
  });

  test('redemptions by the way they came, and replays', async () => {
    const { ticket } = await broker.ticket();
    await redeem({ ticket });
    await redeem({ ticket });
    await broker.app.inject({ url: `/verify?ticket=${ticket}`, headers: { host: 'a' } });
    const of = (transport: string, result: string) =>
      value(`ticket_broker_redemptions_total{transport="${transport}",result="${result}"}`);
    expect(await of('redeem', 'ok')).toBe(1);
    expect(await of('redeem', 'replayed')).toBe(1);
    expect(await of('verify', 'replayed')).toBe(1);
    expect(await value('ticket_broker_replays_total')).toBe(2);
  });

  test('refusals by the limit that was reached', async () => {
    expect(await value('ticket_broker_rate_limited_total{limit="refresh"}')).toBe(0);
    const login = { method: 'POST', url: '/api/login', payload: { username: 'x', password: 'y' } } as const;
    const token = await broker.token();
    while ((await broker.app.inject(login)).statusCode !== 429);
    while ((await post('/tickets', token, {})).statusCode !== 429);
    const guess = { ticket: `wst_${'A'.repeat(43)}`, ip: '192.0.2.7' };
    while ((await redeem(guess)).statusCode !== 429);
    for (const limit of ['login', 'mint', 'attempts']) {
      expect(await value(`ticket_broker_rate_limited_total{limit="${limit}"}`), limit).toBe(1);
    }
  });

  test('revocations by what they name', async () => {
    const minted = (await post('/tickets', keyOf('backend'), { sub: 'eve' })).json();
    const revoke = (body: object) => post('/revocations', keyOf('backend'), body);
    expect((await revoke({ sub: 'eve' })).statusCode).toBe(200);
    await revoke({ session_id: 'A'.repeat(22) });
    await revoke({ ticket_id: 'A'.repeat(22) });
    await broker.app.inject({ method: 'POST', url: '/tickets/revoke', payload: { ticket: minted.ticket } });
    // Nothing that it could revoke.
    const unknown = { ticket: `wst_${'B'.repeat(43)}` };
    await broker.app.inject({ method: 'POST', url: '/tickets/revoke', payload: unknown });
    await post('/revocations', keyOf('node'), { sub: 'eve' });
    const of = (target: string) => value(`ticket_broker_revocations_total{target="${target}"}`);
    expect([await of('sub'), await of('session_id'), await of('ticket_id')]).toEqual([1, 1, 2]);
    expect(await value('ticket_broker_feed_entries_total')).toBe(3);
    expect(await value('ticket_broker_revocation_lag_seconds_count')).toBe(3);
  });

  test('and no label is a name, a room, an id or a secret', async () => {
    const text = await broker.metrics();
    expect(text).toContain('ticket_broker_replays_total 2');
    expect(text).not.toMatch(/alice|bobson|backend|key-of|192\.0\.2|127\.0\.0|wst_|eyJ|A{22}/i);
    const values = [...text.matchAll(/="([^"]*)"/g)].map(([, value]) => value);
    for (const name of ['bob', 'eve', 'den', 'chat', 'node']) expect(values).not.toContain(name);
    const ours = text.split('\n').filter((line) => line.startsWith('ticket_broker_'));
    const labels = new Set([...ours.join('\n').matchAll(/[{,](\w+)="/g)].map(([, label]) => label));
    expect(labels).toEqual(
      new Set([
        ...['decision', 'granted', 'reason', 'transport', 'result', 'by', 'limit', 'target'],
        ...['version', 'node_version', 'le', 'tier', 'variable'],
      ]),
    );
  });
});

describe('what is told with a scrape', () => {
  const at = 1_700_000_000_000;
  const lines = async (metrics: ReturnType<typeof createMetrics>) =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith('ticket_broker_'));

  /** Nothing of it is wrong. */
  const well: Watched = {
    store: { check: async () => {} },
    redisMemory: async () => undefined,
    feed: { current: true, silentMs: 0, follow: () => () => {} },
    files: {},
    tiers: [],
  };
  const of = async (metrics: ReturnType<typeof createMetrics>, name: string) =>
    (await lines(metrics)).filter((line) => line.startsWith(`ticket_broker_${name}`));

  test('is the state of then', async () => {
    const metrics = createMetrics(() => at);
    let [up, current, silentMs] = [true, true, 250];
    metrics.watch({
      ...well,
      store: {
        async check() {
          if (!up) throw new BrokerError('store_unavailable');
        },
      },
      feed: {
        get current() {
          return current;
        },
        get silentMs() {
          return silentMs;
        },
        follow: () => () => {},
      },
    });
    const state = ['ticket_broker_store_up', 'ticket_broker_feed_current', 'ticket_broker_feed_age_seconds'];
    const values = async () => {
      const told = await lines(metrics);
      return state.map((name) => told.find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
    };
    expect(await values()).toEqual(['1', '1', '0.25']);
    [up, current, silentMs] = [false, false, 7000];
    expect(await values()).toEqual(['0', '0', '7']);
  });

  test('is bad where nothing has been opened', async () => {
    let now = at;
    const metrics = createMetrics(() => now);
    now += 2000;
    const told = await lines(metrics);
    expect(told).toContain('ticket_broker_store_up 0');
    expect(told).toContain('ticket_broker_feed_current 0');
    expect(told).toContain('ticket_broker_feed_age_seconds 2');
  });

  test('is how full Redis is, and nothing where nobody knows', async () => {
    const metrics = createMetrics();
    expect(await of(metrics, 'redis_memory')).toEqual([]);
    let memory: Watched['redisMemory'] = async () => ({ used: 200_000_000, max: 256_000_000 });
    let asked = 0;
    const redisMemory = () => {
      asked++;
      return memory();
    };
    metrics.watch({ ...well, redisMemory });
    const told = [
      'ticket_broker_redis_memory_used_bytes 200000000',
      'ticket_broker_redis_memory_max_bytes 256000000',
    ];
    expect(await of(metrics, 'redis_memory')).toEqual(told);
    expect(await of(metrics, 'redis_memory')).toEqual(told);
    expect(asked).toBe(2);
    memory = () => Promise.reject(new BrokerError('store_unavailable'));
    expect(await of(metrics, 'redis_memory')).toEqual([]);
  });

  test('is whether each credentials file can be used as it is, also where nobody uses it', async () => {
    const metrics = createMetrics();
    const keys = serviceKeysFile({ backend: 'revoke' });
    metrics.watch({ ...well, files: { SERVICE_KEYS_FILE: keys } });
    const usable = () => of(metrics, 'file_usable');
    const as = (value: number) => [`ticket_broker_file_usable{variable="SERVICE_KEYS_FILE"} ${value}`];
    const good = readFileSync(keys, 'utf8');
    expect(await usable()).toEqual(as(1));
    writeFileSync(keys, `${good}backend-2:mistyped\n`);
    expect(await usable()).toEqual(as(0));
    expect(await usable()).toEqual(as(0));
    writeFileSync(keys, `${good}\n`);
    expect(await usable()).toEqual(as(1));
    rmSync(keys);
    expect(await usable()).toEqual(as(0));
    writeFileSync(keys, good);
    expect(await usable()).toEqual(as(1));
  });

  test('is which tiers this is of', async () => {
    const metrics = createMetrics();
    metrics.watch({ ...well, tiers: new Set(['http', 'ws'] as const) });
    const both = ['http', 'ws'].map((tier) => `ticket_broker_tier{tier="${tier}"} 1`);
    expect(await of(metrics, 'tier')).toEqual(both);
  });

  test('has a lag of no revocation that is older than the process, and none below zero', async () => {
    const metrics = createMetrics(() => at);
    const feed = memoryFeed({ now: () => at, retention: 3_600_000 });
    metrics.watch({ ...well, feed });
    await feed.publish({ rid: 'older', session_id: 's', at: at / 1000 - 600 });
    await feed.publish({ rid: 'by a fast clock', session_id: 's', at: at / 1000 + 5 });
    const told = await lines(metrics);
    expect(told).toContain('ticket_broker_feed_entries_total 2');
    expect(told).toContain('ticket_broker_revocation_lag_seconds_count 1');
    expect(told).toContain('ticket_broker_revocation_lag_seconds_sum 0');
  });
});

describe('/metrics on the main port', () => {
  let broker: TestApp;
  beforeAll(async () => {
    const keys = { prometheus: 'sessions:read', node: 'tickets:redeem' };
    broker = await testApp({ env: { SERVICE_KEYS_FILE: serviceKeysFile(keys) } });
  });
  afterAll(() => broker.close());
  const scrape = (headers: Record<string, string> = {}) => broker.app.inject({ url: '/metrics', headers });

  test('is for a service key of scope sessions:read', async () => {
    const answer = await scrape(bearer(keyOf('prometheus')));
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.body).toContain('# TYPE ticket_broker_decisions_total counter');
    expect(answer.body).toMatch(/^nodejs_eventloop_lag_seconds /m);
  });

  test.each([
    ['nobody', () => ({}), 401, 'invalid_token'],
    ['an unknown key', () => bearer('wrong'), 401, 'invalid_token'],
    ['a key of another scope', () => bearer(keyOf('node')), 403, 'insufficient_scope'],
  ] as const)('is not for %s', async (_who, headers, status, error) => {
    const answer = await scrape(headers());
    expect([answer.statusCode, answer.json().error]).toEqual([status, error]);
  });

  test('is not for a user', async () => {
    expect((await scrape(bearer(await broker.token()))).statusCode).toBe(403);
  });

  test('is not there where it has a port of its own', async () => {
    const other = await testApp({ env: { METRICS_PORT: '0' } });
    expect((await other.app.inject('/metrics')).statusCode).toBe(404);
    await other.close();
  });
});
