import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Cluster, Redis, type RedisOptions, SentinelConnector } from 'ioredis';
import { arriveScript, departScript, membersScript, sayScript } from './chat-scripts.ts';
import { countedScript, countScript } from './counter-scripts.ts';
import { beginFamilyScript, rotateFamilyScript } from './family-scripts.ts';
import { publishScript, pulseScript, restoreScript } from './feed-scripts.ts';
import type { RedisAddress } from './redis-url.ts';
import { enlistScript, leaseScript } from './registry-scripts.ts';
import { roomsScript } from './rooms-script.ts';
import { mintScript, redeemScript, revokeScript } from './ticket-scripts.ts';

const scripts = {
  mint: mintScript,
  redeem: redeemScript,
  revoke: revokeScript,
  count: countScript,
  counted: countedScript,
  rooms: roomsScript,
  publish: publishScript,
  pulse: pulseScript,
  restore: restoreScript,
  lease: leaseScript,
  enlist: enlistScript,
  beginFamily: beginFamilyScript,
  rotateFamily: rotateFamilyScript,
  say: sayScript,
  arrive: arriveScript,
  depart: departScript,
  members: membersScript,
};

export type ScriptName = keyof typeof scripts;

/** The command that a client has for a script. */
export const commandName = (script: ScriptName) => `wst_${script}`;

/** PEM texts, for `rediss`. */
export type RedisTls = Pick<TlsOptions, 'ca' | 'cert' | 'key'>;

export interface ClientOptions {
  address: RedisAddress;
  tls: RedisTls | undefined;
  /** Milliseconds after which a command that was sent counts as lost. */
  commandTimeout: number;
}

/**
 * The only place that knows how ioredis is set up. Nothing is queued while there is no connection and nothing is ever sent
 * twice: a redemption that was repeated behind our back would find its own tombstone, and a mint would outlive its tenure.
 */
export function openClient({ address, tls, commandTimeout }: ClientOptions): Redis | Cluster {
  return address.mode === 'cluster'
    ? cluster(address, tls, commandTimeout)
    : single(address, tls, commandTimeout);
}

/** A client that only hears what is published, of any node: in Cluster, each of them hears all. @param turn which node to try */
export function openSubscriber({ address, tls, commandTimeout }: ClientOptions, turn: number): Redis {
  if (address.mode !== 'cluster') return single(address, tls, commandTimeout);
  const { nodes } = address;
  const node = nodes[turn % nodes.length] ?? nodes[0];
  return single({ ...address, mode: 'single', nodes: [node] }, tls, commandTimeout);
}

export type { Redis };

export const isCluster = (client: Redis | Cluster): client is Cluster => client instanceof Cluster;

// `Redis`'s constructor does not accept its own options' `replyMapping` under exactOptionalPropertyTypes.
type SingleOptions = Omit<RedisOptions, 'replyMapping'>;

function single(address: RedisAddress, tls: RedisTls | undefined, commandTimeout: number): Redis {
  const { mode, nodes, name, db } = address;
  const where: SingleOptions =
    mode === 'sentinel'
      ? {
          Connector: QuietSentinelConnector,
          sentinels: [...nodes],
          name,
          failoverDetector: true,
          ...(address.sentinelUsername !== undefined && { sentinelUsername: address.sentinelUsername }),
          ...(address.sentinelPassword !== undefined && { sentinelPassword: address.sentinelPassword }),
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
    // It would do so by itself at every new connection, with nobody to hear that it failed: that ends the process.
    autoResubscribe: false,
    retryStrategy: reconnectDelay,
  };
  return new Redis(options);
}

/** ioredis prints what goes wrong on connections that nobody listens to, such as its own to the sentinels. */
class QuietSentinelConnector extends SentinelConnector {
  constructor(options: unknown) {
    super(options as ConstructorParameters<typeof SentinelConnector>[0]);
    const connectTo = Reflect.get(this, 'connectToSentinel') as (...args: unknown[]) => Redis;
    const quietly = (...args: unknown[]) => {
      const sentinel = connectTo.apply(this, args).on('error', () => {});
      // The failover detector leaves this promise to itself: its rejection would end the process.
      const { subscribe } = sentinel;
      sentinel.subscribe = ((...channels: never[]) => {
        const answer = subscribe.apply(sentinel, channels);
        answer.catch(() => {});
        return answer;
      }) as typeof subscribe;
      return sentinel;
    };
    Reflect.set(this, 'connectToSentinel', quietly);
  }
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
  { mode, tls, username, password }: RedisAddress,
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
    // It prints where INFO is refused; a server that is still loading says so itself.
    enableReadyCheck: mode === 'sentinel',
    disableClientInfo: true,
    autoResendUnfulfilledCommands: false,
    connectionName: 'ticket-broker',
  } satisfies RedisOptions;
}

/** @returns milliseconds */
export const reconnectDelay = (attempt: number) => Math.min(attempt * 50, 250);

function scriptCommands() {
  const entries = Object.entries(scripts).map(([name, lua]) => [commandName(name as ScriptName), { lua }]);
  return Object.fromEntries(entries);
}
