import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dashboardQueries } from '../support/dashboard.ts';
import { docker, eventually, type Stack, startStack } from './stack.ts';
import { register, type Visitor } from './visitor.ts';

const limits = { ATTEMPT_LIMIT: '5', ATTEMPT_WINDOW: '5', LOGIN_LIMIT: '100000', MINT_LIMIT: '100000' };
const folder = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

let stack: Stack;
let alice: Visitor;

beforeAll(async () => {
  stack = await startStack(limits);
  alice = await register(stack, 'alice');
  // Grafana, the other half of the profile, is as good as its dashboard: see below.
  await stack.compose(['up', '-d', 'prometheus']);
});
afterEach(() => alice?.leave());
afterAll(() => stack?.down());

interface Target {
  health: string;
  labels: { job: string; instance: string };
}

interface Alert {
  state: string;
  labels: Record<string, string>;
}

async function ask<T>(path: string, query: Record<string, string> = {}): Promise<T> {
  const response = await fetch(`${stack.prometheusUrl}/api/v1/${path}?${new URLSearchParams(query)}`);
  const { data, error } = (await response.json()) as { data: T; error?: string };
  if (error) throw new Error(error);
  return data;
}

const untilTargets = (http: number, ws: number) =>
  eventually(async () => {
    const { activeTargets } = await ask<{ activeTargets: Target[] }>('targets');
    const up = activeTargets.filter(({ health }) => health === 'up').map(({ labels }) => labels.job);
    expect(up.sort()).toEqual([...Array(http).fill('http'), ...Array(ws).fill('ws')]);
    expect(activeTargets).toHaveLength(http + ws);
  });

describe('Prometheus', () => {
  test('finds every node, and the ones that are added', async () => {
    await untilTargets(2, 2);
    await eventually(async () => expect(await ask('alerts')).toEqual({ alerts: [] }));
    await stack.compose(['up', '-d', '--no-recreate', '--scale', 'ws=4']);
    await untilTargets(2, 4);
  });

  test('is on this machine only, and the metrics are where it is only', async () => {
    const [id = ''] = await stack.containers('prometheus');
    expect(await docker('port', id)).toMatch(/^9090\/tcp -> 127\.0\.0\.1:\d+\n$/);
    for (const node of [...(await stack.containers('http')), ...(await stack.containers('ws'))]) {
      expect(await docker('port', node)).toBe('');
    }
    expect((await fetch(`${stack.url}/metrics`)).status).toBe(404);
    const networks = await docker('inspect', '--format', '{{json .NetworkSettings.Networks}}', id);
    const names = Object.keys(JSON.parse(networks)).map((name) => name.replace(/.*_/, ''));
    expect(names.sort()).toEqual(['dashboards', 'metrics']);
  });

  test('has an answer to every query of the dashboard', async () => {
    const datasource = await readFile(folder('deploy/grafana/datasources/prometheus.yml'), 'utf8');
    const queries = await dashboardQueries();
    expect(queries.length).toBeGreaterThan(20);
    for (const { uid } of queries) expect(datasource).toContain(`uid: ${uid}\n`);

    await eventually(async () => {
      await everythingOnce();
      const empty: string[] = [];
      for (const { title, expr } of queries) {
        const { result } = await ask<{ result: unknown[] }>('query', { query: expr });
        if (result.length === 0) empty.push(title);
      }
      expect(empty).toEqual([]);
    });
  });
});

/** A ticket that opens, one that is refused, too many attempts, and a revocation. */
async function everythingOnce(): Promise<void> {
  const token = await alice.login();
  const minted = await alice.mint(token);
  await alice.knock(minted);
  for (let i = 0; i < 8; i++) await alice.knock(minted);
  await fetch(`${stack.url}/sessions`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });
  alice.leave();
}

describe('an alert', () => {
  /** A scrape, the alert's own patience, an evaluation. */
  const within = (check: () => Promise<void>) => eventually(check, 60);
  const firing = async () =>
    (await ask<{ alerts: Alert[] }>('alerts')).alerts
      .filter(({ state }) => state === 'firing')
      .map(({ labels }) => labels['alertname']);

  test('tells of a used ticket that came back', async () => {
    await everythingOnce();
    await within(async () => expect(await firing()).toContain('TicketReplayed'));
  });

  test('tells of a Redis that hangs, and of a feed that stands still, until both are mended', async () => {
    const [redis = ''] = await stack.containers('redis');
    await docker('pause', redis);
    try {
      await within(async () => {
        expect(await firing()).toEqual(expect.arrayContaining(['StoreDown', 'RevocationFeedBehind']));
      });
    } finally {
      await docker('unpause', redis);
    }
    await within(async () => {
      expect(await firing()).not.toContain('StoreDown');
      expect(await firing()).not.toContain('RevocationFeedBehind');
    });
  });

  test('tells of a tier of which no node is left', async () => {
    await stack.compose(['kill', 'ws']);
    await within(async () => expect(await firing()).toContain('NobodyServes'));
    await stack.compose(['start', 'ws']);
  });
});
