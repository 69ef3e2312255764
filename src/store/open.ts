import type { Logger } from 'pino';
import type { Backplane, BackplaneLimits } from '../chat/backplane.ts';
import type { RefreshFamilies } from '../credentials/refresh-families.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Registry } from '../sessions/registry.ts';
import { type ConnectOptions, connect } from './connection.ts';
import { memoryStore } from './memory.ts';
import { memoryBackplane } from './memory-backplane.ts';
import { memoryFamilies } from './memory-families.ts';
import { memoryFeed } from './memory-feed.ts';
import { memoryRegistry } from './memory-registry.ts';
import { redisStore } from './redis.ts';
import { redisBackplane } from './redis-backplane.ts';
import type { RedisTls } from './redis-client.ts';
import { redisFamilies } from './redis-families.ts';
import { feedBlockMs, redisFeed } from './redis-feed.ts';
import { fullestOf, type RedisMemory } from './redis-memory.ts';
import { redisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { Store } from './store.ts';

export interface OpenStoreOptions {
  /** Absent: the embedded store of this process. */
  url: string | undefined;
  tls?: RedisTls;
  prefix: string;
  /** Milliseconds. */
  commandTimeout: number;
  /** The name of this process, unlike that of any other. */
  node: string;
  /** The longest that a session can last without being renewed, in seconds. */
  sessionTtl: number;
  /** Milliseconds that a revocation can matter to this node. */
  retention: number;
  /** Milliseconds that one can matter to any node; absent: as long as the settings allow. */
  dropAfter?: number;
  now: () => number;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Told how many seconds each call to Redis took. */
  onCommand?: ConnectOptions['onCommand'];
}

/** Everything that is kept outside of a request. */
export interface Opened {
  store: Store;
  feed: Feed;
  registry: Registry;
  families: RefreshFamilies;
  /** Of the fullest primary; undefined where there is no Redis. @throws BrokerError `store_unavailable` */
  redisMemory(): Promise<RedisMemory | undefined>;
  /** The rooms of the chat, which whoever opens them closes. */
  openBackplane(limits: BackplaneLimits): Backplane;
  close(): Promise<void>;
}

/** Milliseconds that the clocks of nodes may differ, with room to spare. */
const clocksApartMs = 300_000;

/** The one place that names drivers. Does not wait for the store: until it is there, its calls are refused. */
export function openStore(options: OpenStoreOptions): Opened {
  const { url, tls, prefix, commandTimeout, node, sessionTtl, retention, now, log, onCommand } = options;
  const { dropAfter } = options;
  // A ticket, too, ends no later than the session that it opens, and a renewed session has been held against the feed then.
  const remembering = {
    now: () => performance.now(),
    retention,
    sessionRetention: sessionTtl * 1000 + clocksApartMs,
  };
  if (url === undefined) {
    log.warn('REDIS_URL is unset: tickets live in this process only and are lost when it ends');
    return closing({
      store: memoryStore({ now }),
      feed: memoryFeed(remembering),
      registry: memoryRegistry(now),
      families: memoryFamilies(now),
      redisMemory: async () => undefined,
      openBackplane: memoryBackplane,
    });
  }
  const place = { url, ...(tls && { tls }), ...(onCommand && { onCommand }) };
  const connection = connect({
    ...place,
    commandTimeout,
    onState(state, reason) {
      log[state === 'connected' ? 'info' : 'error']({ ...(reason && { reason }) }, `store ${state}`);
      if (state === 'connected') void store.selfTest();
    },
  });
  const store = redisStore({
    connection,
    prefix,
    onFault: (fault) => (fault ? log.error(`store unfit: ${fault}`) : log.info('store fit again')),
  });
  // Reading the feed waits, and so does publishing: each has a connection that nothing else waits behind.
  const patient = () => connect({ ...place, commandTimeout: commandTimeout + 2 * feedBlockMs });
  const feed = redisFeed({
    ...remembering,
    ...(dropAfter !== undefined && { dropAfter }),
    follower: patient(),
    publisher: patient(),
    tickets: connection,
    prefix,
    log,
    onChange() {
      void store.selfTest();
      // A Redis that has begun anew may be empty.
      registry.renew();
    },
  });
  const registry = redisRegistry({ connection, prefix, node, now, sessionTtl });
  return closing({
    store,
    feed,
    registry,
    families: redisFamilies({ connection, prefix }),
    redisMemory: async () => fullestOf(await connection.info()),
    openBackplane(limits) {
      const hearing = { address: parseRedisUrl(url), tls, commandTimeout };
      return redisBackplane({ ...limits, connection, place: hearing, prefix, node, log });
    },
  });
}

function closing(opened: Omit<Opened, 'close'>): Opened {
  return {
    ...opened,
    async close() {
      await opened.registry.close();
      await opened.feed.close();
      await opened.store.close();
    },
  };
}
