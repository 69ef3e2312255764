import type { Logger } from 'pino';
import { connect, type RedisTls } from './connection.ts';
import { memoryStore } from './memory.ts';
import { redisStore } from './redis.ts';
import type { Store } from './store.ts';

export interface OpenStoreOptions {
  /** Absent: the embedded store of this process. */
  url: string | undefined;
  tls?: RedisTls;
  prefix: string;
  /** Milliseconds. */
  commandTimeout: number;
  now: () => number;
  log: Logger;
}

/** The one place that names drivers. Does not wait for the store: until it is there, its calls are refused. */
export function openStore({ url, tls, prefix, commandTimeout, now, log }: OpenStoreOptions): Store {
  if (url === undefined) {
    log.warn('REDIS_URL is unset: tickets live in this process only and are lost when it ends');
    return memoryStore({ now });
  }
  const connection = connect({
    url,
    ...(tls && { tls }),
    commandTimeout,
    onState(state, reason) {
      log[state === 'connected' ? 'info' : 'error']({ reason }, `store ${state}`);
      if (state === 'connected') void store.selfTest();
    },
  });
  const store = redisStore({
    connection,
    prefix,
    onFault: (fault) => (fault ? log.error(`store unfit: ${fault}`) : log.info('store fit again')),
  });
  return store;
}
