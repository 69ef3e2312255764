import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { openCredentials } from '../../src/credentials/open.ts';
import { hashPassword } from '../../src/credentials/passwords.ts';
import type { App } from '../../src/http/type-provider.ts';
import { createLogger } from '../../src/logger.ts';
import { createMetrics } from '../../src/metrics.ts';
import { revoker } from '../../src/revocations/revoke.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { memoryFamilies } from '../../src/store/memory-families.ts';
import { memoryFeed } from '../../src/store/memory-feed.ts';
import { memoryRegistry } from '../../src/store/memory-registry.ts';
import type { Store } from '../../src/store/store.ts';

export const password = 'correct horse battery staple';
const passwordHash = hashPassword(password);

export interface TestApp {
  app: App;
  /** What Prometheus would read. */
  metrics: () => Promise<string>;
  store: Store;
  /** Everything that was logged, at debug level. */
  logs: () => string;
  /** The decision lines among it. */
  decisions: () => Record<string, unknown>[];
  /** A token of `alice`, by logging in. */
  token: () => Promise<string>;
  /** A ticket of `alice`. */
  ticket: (body?: object) => Promise<{ ticket: string; ticket_id: string; expires_in: number; url: string }>;
  close: () => Promise<void>;
}

export interface TestAppOptions {
  env?: NodeJS.ProcessEnv;
  store?: Store;
  /** Milliseconds. */
  now?: () => number;
  fetch?: typeof fetch;
  collectRoutes?: boolean;
}

/** The whole application on the embedded store, or another, with the user `alice`. */
export async function testApp(options: TestAppOptions = {}): Promise<TestApp> {
  const { env = {}, store, now = Date.now, fetch = globalThis.fetch, collectRoutes = false } = options;
  const lines: string[] = [];
  const log = createLogger(
    'debug',
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  const config = readConfig(env);
  const opened = store ?? memoryStore({ now });
  const feed = memoryFeed({ now, retention: 3_600_000 });
  const registry = memoryRegistry(now);
  const families = memoryFamilies(now);
  const revoke = revoker({ store: opened, feed, registry, now });
  const credentials = await openCredentials({
    config,
    now,
    randomBytes,
    fetch,
    families,
    feed,
    revoke,
    demoUsers: new Map([['alice', await passwordHash]]),
    onFault: (variable, err) => log.error({ err }, variable),
  });
  const metrics = createMetrics(now);
  const redisMemory = async () => undefined;
  metrics.watch({ store: opened, redisMemory, feed, tiers: config.TIERS, files: config });
  const deps = {
    config,
    store: opened,
    feed,
    registry,
    revoke,
    node: 'test',
    credentials,
    log,
    metrics,
    now,
    randomBytes,
    collectRoutes,
  };
  const app = await buildApp(deps);
  await app.ready();

  const token = async () => {
    const answer = await app.inject({
      method: 'POST',
      url: '/api/login',
      payload: { username: 'alice', password },
    });
    return answer.json().token as string;
  };
  return {
    app,
    metrics: () => metrics.text(),
    store: opened,
    logs: () => lines.join(''),
    decisions: () => lines.map((line) => JSON.parse(line)).filter((line) => 'decision' in line),
    token,
    async ticket(body = {}) {
      const headers = { authorization: `Bearer ${await token()}` };
      const answer = await app.inject({ method: 'POST', url: '/tickets', headers, payload: body });
      return answer.json();
    },
    async close() {
      await app.close();
      if (!store) await opened.close();
    },
  };
}
