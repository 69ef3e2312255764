import type { Logger } from 'pino';
import { connect } from './connection.ts';
import { memoryStore } from './memory.ts';
import { redisStore } from './redis.ts';
import type { Store } from './store.ts';

export interface OpenStoreOptions {
  /** Absent: the embedded store of this process. */
  url: string | undefined;
  prefix: string;
  /** Milliseconds. */
  commandTimeout: number;
  now: () => number;
  log: Logger;
}

/** The one place that names drivers. Does not wait for the store: until it is there, its calls are refused. */
export function openStore({ url, prefix, commandTimeout, now, log }: OpenStoreOptions): Store {
  if (url === undefined) {
    log.warn('REDIS_URL is unset: tickets live in this process only and are lost when it ends');
    return memoryStore({ now });
  }
  const connection = connect({
    url,
    commandTimeout,
    onState: (state, reason) => log[state === 'connected' ? 'info' : 'error']({ reason }, `store ${state}`),
  });
  return redisStore({ connection, prefix });
}
