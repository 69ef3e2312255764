import { createLogger } from '../../src/logger.ts';
import { openStore } from '../../src/store/open.ts';
import type { RedisTls } from '../../src/store/redis-client.ts';
import type { Store } from '../../src/store/store.ts';
import { until } from './redis-topologies.ts';

/** A store opened as `serve` opens it, and what it has logged so far. */
export interface LoggedStore extends Store {
  log(): string;
  /** Waits for the log to say so, after what was logged before. */
  logs(text: string): Promise<void>;
}

export interface LoggedStoreOptions {
  tls?: RedisTls;
  /** Milliseconds. */
  commandTimeout?: number;
}

/** The product's own store on this URL, under the product's own prefix. Does not wait for the connection. */
export function openLoggedStore(
  url: string,
  { tls, commandTimeout = 1000 }: LoggedStoreOptions = {},
): LoggedStore {
  let output = '';
  let seen = 0;
  const log = createLogger('debug', {
    write(line) {
      output += line;
    },
  });
  const { store, close } = openStore({
    url,
    ...(tls && { tls }),
    prefix: 'wst:',
    commandTimeout,
    node: 'test',
    sessionTtl: 3600,
    retention: 3_600_000,
    now: Date.now,
    log,
  });
  return {
    ...store,
    close,
    log: () => output,
    async logs(text) {
      await until(`the log to say: ${text}`, async () => output.indexOf(text, seen) >= 0, 10);
      seen = output.indexOf(text, seen) + text.length;
    },
  };
}

/** As `openLoggedStore`, once it is connected. */
export async function openConnectedStore(
  url: string,
  options: LoggedStoreOptions = {},
): Promise<LoggedStore> {
  const store = openLoggedStore(url, options);
  await store.logs('store connected');
  return store;
}
