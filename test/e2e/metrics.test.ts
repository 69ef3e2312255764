import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, secretsIn, sharedStore, startBroker } from '../support/broker-process.ts';
import { until } from '../support/e2e-until.ts';
import { freePort, type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const keys = serviceKeysFile({ backend: 'tickets:mint,tickets:redeem,revoke', prometheus: 'sessions:read' });
const bearer = (name: string) => ({ authorization: `Bearer ${keyOf(name)}` });

const scrape = async ({ url }: { url: string }) => {
  const answer = await fetch(`${url}/metrics`, { headers: bearer('prometheus') });
  if (!answer.ok) throw new Error(`/metrics: ${answer.status}`);
  return answer.text();
};

/** The value of a series as it is written; undefined: there is none. */
const valueIn = (told: string, series: string): number | undefined => {
  const line = told.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length));
};

/** @throws Error where there is no promtool: `npm run test:install` brings it */
async function promtool(told: string): Promise<{ code: number; said: string }> {
  const child = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  child.stdin.end(told);
  const said = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  return { code: code as number, said: said.join('') };
}

async function open(at: BrokerProcess, query: string): Promise<WebSocket> {
  const socket = new WebSocket(`${at.url.replace('http', 'ws')}/ws${query}`);
  await once(socket, 'message');
  return socket;
}

describe('two nodes on one Redis', () => {
  let redis: RedisServer;
  let a: BrokerProcess;
  let b: BrokerProcess;
  beforeAll(async () => {
    redis = await startRedisServer();
    const env = { ...sharedStore(redis.url), SERVICE_KEYS_FILE: keys, ATTEMPT_LIMIT: '3' };
    [a, b] = await Promise.all([startBroker(env), startBroker({ ...env, WS_ACCEPT: 'ticket,bearer' })]);
    const ready = (at: BrokerProcess) => async () => (await fetch(`${at.url}/readyz`)).ok;
    await Promise.all([a, b].map((at) => until(ready(at), 'the broker is ready')));
  });
  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await redis?.dispose();
  });
  const value = async (at: BrokerProcess, series: string) => valueIn(await scrape(at), series);
  const post = (at: BrokerProcess, path: string, body: object) =>
    fetch(`${at.url}${path}`, {
      method: 'POST',
      headers: { ...bearer('backend'), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  test('promtool has nothing to say of a node that has said nothing yet', async () => {
    expect(await promtool(await scrape(a))).toEqual({ code: 0, said: '' });
  });

  test('tell of sockets, redemptions and replays where they were', async () => {
    const { ticket } = await a.mint();
    const [ws, byToken] = [
      await open(b, `?ticket=${ticket}`),
      new WebSocket(`${b.url.replace('http', 'ws')}/ws`, {
        headers: { authorization: `Bearer ${await a.token()}` },
      }),
    ];
    await once(byToken, 'message');
    expect(await value(b, 'ticket_broker_sockets_open')).toBe(2);
    const again = new WebSocket(`${b.url.replace('http', 'ws')}/ws?ticket=${ticket}`);
    await once(again, 'error');
    ws.close(1000);
    byToken.close(4321);
    await until(async () => (await value(b, 'ticket_broker_sockets_open')) === 0, 'both are closed');

    const told = await scrape(b);
    const redemptions = (transport: string, result: string) =>
      valueIn(told, `ticket_broker_redemptions_total{transport="${transport}",result="${result}"}`);
    expect(redemptions('ws', 'ok')).toBe(1);
    expect(redemptions('bearer', 'ok')).toBe(1);
    expect(redemptions('ws', 'replayed')).toBe(1);
    expect(valueIn(told, 'ticket_broker_replays_total')).toBe(1);
    expect(valueIn(told, 'ticket_broker_sockets_closed_total{code="1000"}')).toBe(1);
    expect(valueIn(told, 'ticket_broker_sockets_closed_total{code="other"}')).toBe(1);
    expect(valueIn(told, 'ticket_broker_tickets_issued_total{by="user"}')).toBe(0);
    expect(await value(a, 'ticket_broker_tickets_issued_total{by="user"}')).toBe(1);
  });

  test('tell how fast a revocation was heard of, on the node that made it and on the other', async () => {
    const begun = Date.now();
    expect((await post(a, '/revocations', { sub: 'mallory' })).status).toBe(200);
    await until(async () => (await value(b, 'ticket_broker_feed_entries_total')) === 1, 'b has heard of it');
    for (const at of [a, b]) {
      const told = await scrape(at);
      expect(valueIn(told, 'ticket_broker_revocation_lag_seconds_count')).toBe(1);
      const lag = valueIn(told, 'ticket_broker_revocation_lag_seconds_sum') ?? Number.NaN;
      expect(lag).toBeGreaterThanOrEqual(0);
      // No longer than it took us to see it.
      expect(lag).toBeLessThanOrEqual((Date.now() - begun) / 1000);
    }
    expect(await value(a, 'ticket_broker_revocations_total{target="sub"}')).toBe(1);
    expect(await value(b, 'ticket_broker_revocations_total{target="sub"}')).toBe(0);
  });

  test('tell how long Redis took, by a closed set of commands', async () => {
    const guess = { ticket: `wst_${'A'.repeat(43)}`, ip: '192.0.2.9' };
    while ((await post(b, '/tickets/redeem', guess)).status !== 429);
    expect(await value(b, 'ticket_broker_rate_limited_total{limit="attempts"}')).toBe(1);
    await fetch(`${b.url}/sessions?sub=alice`, { headers: bearer('prometheus') });
    const told = await scrape(b);
    const commands = new Set(
      [...told.matchAll(/_seconds_count\{command="([^"]*)"\}/g)].map(([, name]) => name),
    );
    for (const name of ['mint', 'redeem', 'count', 'pulse', 'lease', 'enlist', 'info', 'hvals', 'xread']) {
      expect(commands).toContain(name);
    }
    for (const name of commands) expect(name).toMatch(/^[a-z]{3,12}([A-Z][a-z]+)?$/);
    const series = 'ticket_broker_redis_command_duration_seconds';
    const redeem = '{command="redeem"}';
    const [sum = 0, count = 0] = [`${series}_sum`, `${series}_count`].map((name) =>
      valueIn(told, name + redeem),
    );
    expect(count).toBeGreaterThan(3);
    expect(sum / count).toBeLessThan(1);
    // Reads of the feed wait for half a second each, and are not among them: none is added while only those are made.
    const reads = async () => value(b, `${series}_count{command="xread"}`);
    const before = await reads();
    await sleep(1500);
    expect(await reads()).toBe(before);
  });

  test('promtool has nothing to say of any of it, and there is no secret in it', async () => {
    for (const at of [a, b]) {
      const told = await scrape(at);
      expect(await promtool(told)).toEqual({ code: 0, said: '' });
      expect(secretsIn(told)).toEqual([]);
      expect(told).not.toMatch(/key-of-the|alice|mallory|127\.0\.0\.1|192\.0\.2/);
      expect(told).toMatch(
        /^ticket_broker_build_info\{version="\d+\.\d+\.\d+",node_version="\d+\.\d+\.\d+"\} 1$/m,
      );
      expect(told).toMatch(/^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m);
    }
  });

  test('tell of a Redis that does not answer', async () => {
    const state = async () => {
      const told = await scrape(a);
      return ['store_up', 'feed_current'].map((name) => valueIn(told, `ticket_broker_${name}`));
    };
    const age = () => value(a, 'ticket_broker_feed_age_seconds');
    // A node that has not run for a while says the contrary for a moment.
    await expect.poll(state).toEqual([1, 1]);
    await expect.poll(age).toBeLessThan(3);
    redis.process.kill('SIGSTOP');
    await until(async () => (await state()).join() === '0,0', 'the store is down, and the feed not current');
    await expect.poll(age).toBeGreaterThan(3);
    redis.process.kill('SIGCONT');
    await until(async () => (await state()).join() === '1,1', 'all is well again');
    await expect.poll(age).toBeLessThan(3);
  });

  test('need no key on a port of their own, and are nowhere else then', async () => {
    const port = await freePort();
    await using own = await startBroker({ METRICS_PORT: String(port), SERVICE_KEYS_FILE: keys });
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect(await promtool(await answer.text())).toEqual({ code: 0, said: '' });
    expect((await fetch(`${own.url}/metrics`, { headers: bearer('prometheus') })).status).toBe(404);
    // As Prometheus asks where its job has `params`.
    expect((await fetch(`http://127.0.0.1:${port}/metrics?x=1`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${port}/metrics`, { method: 'HEAD' })).status).toBe(200);
    const elsewhere = await fetch(`http://127.0.0.1:${port}/metrics/`);
    expect([elsewhere.status, await elsewhere.json()]).toMatchObject([404, { error: 'not_found' }]);
  });
});

test('METRICS_PORT=0 is a port that the log names', async () => {
  await using broker = await startBroker({ METRICS_PORT: '0' });
  const [, port] = /"metrics_port":(\d+),.*"listening"/.exec(broker.output()) ?? [];
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(await answer.text()).toContain('ticket_broker_sockets_open 0');
});
