import type { Registry } from '../sessions/registry.ts';
import { type Access, accessTo } from './access.ts';
import { connect } from './connection.ts';
import { redisStore } from './redis.ts';
import type { RedisTls } from './redis-client.ts';
import { redisRegistry } from './redis-registry.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';
import { faultOfRedis } from './self-test.ts';
import type { Store } from './store.ts';

export interface InspectOptions {
  url: string;
  tls: RedisTls;
  prefix: string;
  /** Milliseconds. */
  commandTimeout: number;
  /** Whether the chat's commands are needed, too. */
  chat: boolean;
  /** A name for us in the registry. */
  node: string;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** A Redis as an operator looks at it: from outside of any node, and without the feed that a node follows. */
export interface Inspection {
  readonly address: RedisAddress;
  readonly store: Store;
  readonly registry: Registry;
  /** Resolves with the kind of failure (see `reasonOf`), or undefined once there is a connection. */
  reach(): Promise<string | undefined>;
  /** The text of `INFO`, from every primary. @throws BrokerError */
  info(): Promise<string[]>;
  /** What a node's own self-test finds missing. @throws BrokerError */
  selfTest(): Promise<string | undefined>;
  /** What our user may do; undefined where Redis cannot tell. @throws BrokerError */
  access(): Promise<Access | undefined>;
  /** Redis' clock: Unix milliseconds. @throws BrokerError */
  time(): Promise<number>;
  close(): Promise<void>;
}

/** What no waiting helps against. */
const final = /NOAUTH|WRONGPASS|CERT|ERR_TLS|ERR_SSL|ECONNREFUSED|ENOTFOUND/;

export function inspectRedis(options: InspectOptions): Inspection {
  const { url, tls, prefix, commandTimeout, chat, node, now } = options;
  const address = parseRedisUrl(url);
  const reached = Promise.withResolvers<string | undefined>();
  let last: string | undefined;
  const connection = connect({
    url,
    tls,
    commandTimeout,
    onState(state, reason) {
      if (state === 'connected') reached.resolve(undefined);
      last = reason ?? last;
      if (last !== undefined && final.test(last)) reached.resolve(last);
    },
  });
  const store = redisStore({ connection, prefix, onFault: () => {} });
  const registry = redisRegistry({ connection, prefix, node, now, sessionTtl: 60 });

  return {
    address,
    store,
    registry,
    async reach() {
      const late = setTimeout(() => reached.resolve(last ?? 'timeout'), commandTimeout + 2000);
      const reason = await reached.promise;
      clearTimeout(late);
      return reason;
    },
    info: () => connection.info(),
    selfTest: () => faultOfRedis(connection, store, prefix),
    access: () => accessTo(connection, { prefix, chat, database: address.db > 0 }),
    async time() {
      const script = "local now = redis.call('TIME') return {now[1], now[2]}";
      const [seconds, micros] = (await connection.command('EVAL', script, '0')) as string[];
      return Number(seconds) * 1000 + Number(micros) / 1000;
    },
    async close() {
      await registry.close();
      await connection.close();
    },
  };
}
