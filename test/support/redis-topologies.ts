import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { type RedisServer, startRedisServer } from './redis-server.ts';

const run = promisify(execFile);

/** The user that replicas log in as: switching it off cuts a replica off, while everybody else goes on. */
const replicator = { name: 'replicator', password: 'for-replication' };

const replicationArgs = [
  ['--user', replicator.name, 'on', `>${replicator.password}`, '~*', '&*', '+@all'],
  ['--masteruser', replicator.name],
  ['--masterauth', replicator.password],
  ['--repl-diskless-sync-delay', '0'],
  ['--repl-ping-replica-period', '1'],
].flat();

/** A connection of the test's own to one server. */
export function clientOf(server: RedisServer): Redis {
  const client = new Redis(server.url, { maxRetriesPerRequest: 2, retryStrategy: () => 100 });
  client.on('error', () => {});
  return client;
}

/** Runs one command on a server, over a connection of its own. */
export async function command(
  server: RedisServer,
  name: string,
  ...args: (string | number)[]
): Promise<unknown> {
  const client = clientOf(server);
  try {
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

export async function infoOf(server: RedisServer, section: string): Promise<Record<string, string>> {
  const text = String(await command(server, 'INFO', section));
  return Object.fromEntries([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, key, value]) => [key, value]));
}

/** Polls until the condition holds. */
export async function until(what: string, condition: () => Promise<boolean>, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await sleep(25);
  }
}

/** A server that can be a primary or a replica of one. */
export function startNode(args: readonly string[] = []): Promise<RedisServer> {
  return startRedisServer([...replicationArgs, ...args]);
}

export async function replicate(replica: RedisServer, primary: RedisServer): Promise<void> {
  await command(replica, 'REPLICAOF', '127.0.0.1', primary.port);
  await inSync(replica, primary);
}

/** Resolves when the replica has everything that the primary has written so far. */
export async function inSync(replica: RedisServer, primary: RedisServer): Promise<void> {
  await until('the replica to catch up', async () => {
    const [above, below] = [await infoOf(primary, 'replication'), await infoOf(replica, 'replication')];
    return (
      below['master_link_status'] === 'up' &&
      below['master_port'] === `${primary.port}` &&
      Number(below['slave_repl_offset']) >= Number(above['master_repl_offset'])
    );
  });
}

/** Cuts every replica off its primary, for good: what the primary does from now on never reaches them. */
export async function cutReplicas(primary: RedisServer): Promise<void> {
  await command(primary, 'ACL', 'SETUSER', replicator.name, 'off');
  await command(primary, 'CLIENT', 'KILL', 'TYPE', 'replica');
  await until(
    'the replicas to be gone',
    async () => (await infoOf(primary, 'replication'))['connected_slaves'] === '0',
  );
}

export async function promote(replica: RedisServer): Promise<void> {
  await command(replica, 'REPLICAOF', 'NO', 'ONE');
  await until('the promotion', async () => (await infoOf(replica, 'replication'))['role'] === 'master');
}

export interface Topology {
  url: string;
  dispose(): Promise<void>;
}

export interface SentinelTopology extends Topology {
  primary: RedisServer;
  replica: RedisServer;
  sentinels: RedisServer[];
}

/** A primary, a replica and three sentinels that promote it two seconds after the primary is gone. */
export async function startSentinels(nodeArgs: readonly string[] = []): Promise<SentinelTopology> {
  const primary = await startNode(nodeArgs);
  const replica = await startNode(nodeArgs);
  await replicate(replica, primary);
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(primary.port)));
  const [first] = sentinels as [RedisServer, ...RedisServer[]];
  await until('the sentinels to know each other and the replica', async () => {
    const [, , ...known] = (await command(first, 'SENTINEL', 'MASTER', 'tickets')) as string[];
    const fields = Object.fromEntries(known.map((value, index) => [value, known[index + 1]]));
    return fields['num-other-sentinels'] === '2' && fields['num-slaves'] === '1';
  });
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  return {
    url: `redis+sentinel://${hosts}/tickets`,
    primary,
    replica,
    sentinels,
    dispose: () => disposeAll([...sentinels, primary, replica]),
  };
}

async function startSentinel(primaryPort: number): Promise<RedisServer> {
  const config = join(await mkdtemp(join(tmpdir(), 'ticket-broker-sentinel-')), 'sentinel.conf');
  await writeFile(
    config,
    [
      `sentinel monitor tickets 127.0.0.1 ${primaryPort} 2`,
      'sentinel down-after-milliseconds tickets 2000',
      'sentinel failover-timeout tickets 6000',
    ].join('\n'),
  );
  const sentinel = await startRedisServer([], [config, '--sentinel']);
  return {
    ...sentinel,
    async dispose() {
      await sentinel.dispose();
      await rm(dirname(config), { recursive: true, force: true });
    },
  };
}

export interface ClusterTopology extends Topology {
  primaries: RedisServer[];
  replicas: RedisServer[];
}

/** Three primaries with a replica each, which takes over two seconds after its primary is gone. */
export async function startCluster(nodeArgs: readonly string[] = []): Promise<ClusterTopology> {
  const args = [
    '--cluster-enabled',
    'yes',
    '--cluster-node-timeout',
    '2000',
    '--cluster-replica-validity-factor',
    '0',
  ];
  const nodes = await Promise.all(Array.from({ length: 6 }, () => startNode([...args, ...nodeArgs])));
  const [first] = nodes as [RedisServer, ...RedisServer[]];
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await run('redis-cli', ['--cluster', 'create', ...hosts, '--cluster-replicas', '1', '--cluster-yes']);
  await until('the cluster to agree', async () => {
    const states = await Promise.all(nodes.map((node) => command(node, 'CLUSTER', 'INFO')));
    const links = await Promise.all(nodes.map((node) => infoOf(node, 'replication')));
    return (
      states.every((state) => String(state).includes('cluster_state:ok')) &&
      links.filter(({ master_link_status }) => master_link_status === 'up').length === 3
    );
  });
  const roles = await Promise.all(nodes.map(async (node) => (await infoOf(node, 'replication'))['role']));
  return {
    url: `redis+cluster://127.0.0.1:${first.port},${hosts.slice(1).join()}`,
    primaries: nodes.filter((_, index) => roles[index] === 'master'),
    replicas: nodes.filter((_, index) => roles[index] === 'slave'),
    dispose: () => disposeAll(nodes),
  };
}

/** The replica that follows a primary of a cluster. */
export async function replicaOf({ replicas }: ClusterTopology, primary: RedisServer): Promise<RedisServer> {
  for (const replica of replicas) {
    if ((await infoOf(replica, 'replication'))['master_port'] === `${primary.port}`) return replica;
  }
  throw new Error(`port ${primary.port} has no replica`);
}

async function disposeAll(servers: readonly RedisServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.dispose()));
}
