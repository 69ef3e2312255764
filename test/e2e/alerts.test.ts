import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { parse } from 'yaml';
import { repository, sharedStore, startBroker } from '../support/broker-process.ts';
import { dashboardQueries } from '../support/dashboard.ts';
import { until } from '../support/e2e-until.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const run = promisify(execFile);
const rules = join(repository, 'deploy/prometheus/alerts.yml');

test('promtool finds nothing wrong, and each alert has its fault', async () => {
  const promtool = async (...args: string[]) => (await run('promtool', args, { cwd: repository })).stdout;
  expect(await promtool('check', 'config', 'deploy/prometheus/prometheus.yml')).toContain('SUCCESS');
  expect(await promtool('check', 'rules', rules)).toContain('SUCCESS');
  expect(await promtool('test', 'rules', 'test/e2e/alerts.test.yml')).toContain('SUCCESS');

  const names = (text: string) =>
    new Set([...text.matchAll(/alert(?:name)?(?:: |=")(\w+)/g)].map(([, name]) => name));
  const tested = names(await readFile(join(repository, 'test/e2e/alerts.test.yml'), 'utf8'));
  expect(tested).toEqual(names(await readFile(rules, 'utf8')));
});

test('with the one job of docs/metrics.md no alert is raised, and the dashboard has an answer to everything', async () => {
  const redis = await startRedisServer(['--maxmemory', '64mb']);
  onTestFinished(() => redis.dispose());
  const services = { prometheus: 'sessions:read', backend: 'revoke' };
  const env = { ...sharedStore(redis.url), SERVICE_KEYS_FILE: serviceKeysFile(services) };
  await using http = await startBroker({ ...env, TIERS: 'http' });
  await using ws = await startBroker({ ...env, TIERS: 'ws' });

  const keyFile = join(redis.dir, 'key');
  await writeFile(keyFile, keyOf('prometheus'));
  const [, documented = ''] =
    /```yaml\n(scrape_configs:.*?)```/s.exec(await readFile(join(repository, 'docs/metrics.md'), 'utf8')) ??
    [];
  const scraping = documented
    .replace('/etc/prometheus/ticket-broker.key', keyFile)
    .replace('http-1:8080', `127.0.0.1:${http.port}`)
    .replace('ws-1:8080', `127.0.0.1:${ws.port}`);
  await using prometheus = await startPrometheus({
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [rules],
    ...parse(scraping),
  });
  const query = async (expr: string) =>
    (await prometheus.ask<{ result: { value: [number, string] }[] }>('query', { query: expr })).result;

  await until(async () => (await query('ticket_broker_tier')).length === 2, 'both tiers are found');
  await until(
    async () => (await prometheus.ask<{ alerts: unknown[] }>('alerts')).alerts.length === 0,
    'no alert is raised, nor about to be',
  );

  // A ticket that opens and comes back, and a revocation.
  const { ticket } = await http.mint();
  const at = `${ws.url.replace('http', 'ws')}/ws?ticket=${ticket}`;
  const socket = new WebSocket(at);
  await once(socket, 'message');
  await once(new WebSocket(at), 'error');
  const closed = once(socket, 'close');
  const { status } = await fetch(`${http.url}/revocations`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('backend')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sub: 'alice' }),
  });
  expect(status).toBe(200);
  await closed;

  const queries = await dashboardQueries();
  expect(queries.length).toBeGreaterThan(20);
  const unanswered = async () => {
    const answers = await Promise.all(queries.map(({ expr }) => query(expr)));
    return queries.filter((_, index) => answers[index]?.length === 0).map(({ title }) => title);
  };
  // Rates take two scrapes.
  await vi.waitFor(async () => expect(await unanswered()).toEqual([]), { timeout: 20_000, interval: 250 });
  const nodes = await Promise.all(queries.slice(0, 2).map(({ expr }) => query(expr)));
  expect(nodes.map(([one]) => one?.value[1])).toEqual(['1', '1']);
});
