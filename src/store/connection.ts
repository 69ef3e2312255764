import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { BrokerError } from '../errors.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';
import { countedScript, countScript, mintScript, redeemScript, revokeScript } from './scripts.ts';

const scripts = {
  mint: mintScript,
  redeem: redeemScript,
  revoke: revokeScript,
  count: countScript,
  counted: countedScript,
};

export type ScriptName = keyof typeof scripts;

/** PEM texts, for `rediss`. */
export type RedisTls = Pick<TlsOptions, 'ca' | 'cert' | 'key'>;

export interface RedisConnection {
  /** Whether keys are spread over several primaries. */
  readonly sharded: boolean;
  /** Runs a script on one key. Rejects with `store_unavailable`, whatever went wrong. */
  run(script: ScriptName, key: string, ...args: (string | number)[]): Promise<unknown[]>;
  /** The text of `INFO`, from every primary. Rejects as `run` does. */
  info(): Promise<string[]>;
  /** Looks again for the primary: the one that we talk to is none any more. */
  relocate(): void;
  close(): Promise<void>;
}

export interface ConnectOptions {
  url: string;
  tls?: RedisTls;
  /** Milliseconds after which a command that was sent counts as lost. */
  commandTimeout: number;
  /** Called when the connection comes and goes; `reason` never holds an address, a command or its arguments. */
  onState?: (state: 'connected' | 'disconnected', reason?: string) => void;
}

/**
 * The only place that knows ioredis. Nothing is queued while there is no connection and nothing is ever sent twice: a
 * redemption that was repeated behind our back would find its own tombstone, and a mint would outlive its tenure.
 */
export function connect({ url, tls, commandTimeout, onState }: ConnectOptions): RedisConnection {
  const address = parseRedisUrl(url);
  const client =
    address.mode === 'cluster' ? cluster(address, tls, commandTimeout) : single(address, tls, commandTimeout);

  let closed = false;
  let state: string | undefined;
  const tell = (next: 'connected' | 'disconnected', reason?: string) => {
    if (state !== next && !closed) onState?.(next, reason);
    state = next;
  };
  client.on('ready', () => tell('connected'));
  client.on('close', () => tell('disconnected'));
  client.on('error', (error) => tell('disconnected', reasonOf(error)));
  // ioredis gives up for good when a failover is announced while it is looking for the primary.
  client.on('end', () => {
    if (!closed) setTimeout(() => client.connect().catch(() => {}), reconnectDelay(1));
  });

  return {
    sharded: address.mode === 'cluster',
    run(script, key, ...args) {
      const command = Reflect.get(client, commandName(script)) as (...all: unknown[]) => Promise<unknown[]>;
      return translated(() => command.call(client, key, ...args));
    },
    info() {
      const nodes = client instanceof Cluster ? client.nodes('master') : [client];
      return translated(() => Promise.all(nodes.map((node) => node.info())));
    },
    relocate() {
      if (client instanceof Cluster) client.refreshSlotsCache();
      else if (client.status === 'ready') client.disconnect(true);
    },
    async close() {
      closed = true;
      client.disconnect();
    },
  };
}

// `Redis`'s constructor does not accept its own options' `replyMapping` under exactOptionalPropertyTypes.
type SingleOptions = Omit<RedisOptions, 'replyMapping'>;

function single(address: RedisAddress, tls: RedisTls | undefined, commandTimeout: number): Redis {
  const { mode, nodes, name, db } = address;
  const where: SingleOptions =
    mode === 'sentinel'
      ? {
          sentinels: [...nodes],
          name,
          failoverDetector: true,
          sentinelCommandTimeout: commandTimeout,
          sentinelRetryStrategy: reconnectDelay,
          sentinelReconnectStrategy: reconnectDelay,
          enableTLSForSentinelMode: address.tls,
        }
      : nodes[0];
  const options: SingleOptions = {
    ...where,
    ...nodeOptions(address, tls, commandTimeout),
    db,
    scripts: scriptCommands(),
    enableOfflineQueue: false,
    retryStrategy: reconnectDelay,
  };
  return new Redis(options);
}

function cluster(address: RedisAddress, tls: RedisTls | undefined, commandTimeout: number): Cluster {
  return new Cluster([...address.nodes], {
    redisOptions: nodeOptions(address, tls, commandTimeout),
    scripts: scriptCommands(),
    enableOfflineQueue: false,
    // With a delay of 0 ioredis does not send a command again after the connection closed under it.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterRetryStrategy: reconnectDelay,
    // A primary that hangs redirects nobody: who serves its slots now has to be asked for.
    slotsRefreshInterval: 1000,
    slotsRefreshTimeout: commandTimeout,
  });
}

function nodeOptions(
  { tls, username, password }: RedisAddress,
  files: RedisTls = {},
  commandTimeout: number,
) {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: files, sentinelTLS: files }),
    commandTimeout,
    connectTimeout: commandTimeout,
    // A connection on which nothing comes back is dropped, so that the next attempt finds the primary of then.
    socketTimeout: commandTimeout,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectionName: 'ticket-broker',
  } satisfies RedisOptions;
}

const reconnectDelay = (attempt: number) => Math.min(attempt * 50, 250);

const commandName = (script: string) => `wst_${script}`;

function scriptCommands() {
  const entries = Object.entries(scripts).map(([name, lua]) => [commandName(name), { lua, numberOfKeys: 1 }]);
  return Object.fromEntries(entries);
}

// A driver's error carries the command with its arguments, and a server's may quote them: only its kind goes on.
async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw new BrokerError('store_unavailable', { reason: `store: ${reasonOf(error)}` });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as NodeJS.ErrnoException;
  if (code) return code;
  if (error.message === 'Command timed out') return 'timeout';
  if (error.message.includes('enableOfflineQueue')) return 'not connected';
  if (error.name === 'MaxRetriesPerRequestError' || error.message === 'Connection is closed.')
    return 'connection lost';
  if (/^NOPERM|executing the script can't/.test(error.message)) return 'NOPERM';
  const serverCode = error.name === 'ReplyError' && /^[A-Z]+(?= )/.exec(error.message);
  return serverCode ? serverCode[0] : error.name;
}
