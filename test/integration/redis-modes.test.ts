import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/store/connection.ts';
import { redisStore } from '../../src/store/redis.ts';
import type { RedisTls } from '../../src/store/redis-client.ts';
import type { Store } from '../../src/store/store.ts';
import { mint } from '../../src/tickets/mint.ts';
import { newTicket, ticketId } from '../../src/tickets/ticket.ts';
import { grants, userRules } from '../support/acl.ts';
import { type Authority, startAuthority } from '../support/certificates.ts';
import { openConnectedStore, openLoggedStore } from '../support/logged-store.ts';
import { aClaim, aRecord } from '../support/records.ts';
import { freePort, type RedisServer, startRedisServer } from '../support/redis-server.ts';
import {
  type ClusterTopology,
  command,
  infoOf,
  replicaOf,
  type SentinelTopology,
  startCluster,
  startSentinels,
  until,
} from '../support/redis-topologies.ts';
import { roomSetsIn } from '../support/room-sets.ts';
import { storeContract } from '../support/store-contract.ts';

const password = 'p@ss:/w%';
const login = `broker:${encodeURIComponent(password)}@`;
/** Every server here knows one more user: ours, who may do what the documents say and nothing else. */
const brokerUser = (...commands: string[]) => [
  '--user',
  'broker',
  ...userRules(password, [...grants.always, ...commands]),
];

/** Mints and redeems one ticket, as two nodes would. */
async function oneLife(store: Store, another: Store = store): Promise<void> {
  const { ticket_id } = await mint({ store, randomBytes }, aRecord(), 30);
  expect(await another.redeem(ticket_id, aClaim())).toMatchObject({ outcome: 'redeemed' });
  expect(await store.redeem(ticket_id, aClaim())).toMatchObject({ outcome: 'used' });
}

/** The commands that our user was refused, by the server's own account. */
async function refusedOn(...servers: RedisServer[]): Promise<string[]> {
  const logs = await Promise.all(servers.map((server) => command(server, 'ACL', 'LOG')));
  const entries = (logs as string[][][]).flat();
  const field = (entry: string[], name: string) => entry[entry.indexOf(name) + 1] ?? '';
  return entries
    .filter((entry) => field(entry, 'username') === 'broker')
    .map((entry) => field(entry, 'object'));
}

/** Ends all connections of clients, as an operator or an idle timeout would. */
async function dropClients(...servers: RedisServer[]): Promise<void> {
  for (const server of servers) await command(server, 'CLIENT', 'KILL', 'USER', 'broker');
}

describe('redis:// with a user, a password and a database', () => {
  let server: RedisServer;
  const url = () => `redis://${login}127.0.0.1:${server.port}/3`;
  beforeAll(async () => {
    server = await startRedisServer(brokerUser(...grants.database));
  });
  afterAll(() => server.dispose());

  storeContract(
    'Redis with a login',
    (...rooms) => roomSetsIn(url().replace(login, ''))(...rooms),
    () => openConnectedStore(url()),
    () => openConnectedStore(url()),
  );

  test('keeps everything in that database', async () => {
    const store = await openConnectedStore(url());
    await oneLife(store);
    expect(Object.keys(await infoOf(server, 'keyspace'))).toEqual(['db3']);
    await store.close();
  });

  test('asks for nothing that the documented user may not do, and works again after a lost connection', async () => {
    const store = await openConnectedStore(url());
    await dropClients(server);
    await store.logs('store connected');
    await until('the store to be usable', async () => store.check().then(() => true));
    await oneLife(store);
    expect(await refusedOn(server)).toEqual([]);
    expect(store.log()).not.toContain('unfit');
    await store.close();
  });

  test('tells a Redis that does not have that database', async () => {
    const store = openLoggedStore(`redis://${login}127.0.0.1:${server.port}/99`);
    await store.logs('store disconnected');
    await expect(store.redeem('x'.repeat(22), aClaim())).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(store.check()).rejects.toMatchObject({ code: 'store_unavailable' });
    await store.close();
  });
});

describe('rediss:// with an authority of our own', () => {
  const authority: Authority = startAuthority();
  const client = authority.issue('broker', 'DNS:broker');
  const tls: RedisTls = { ca: authority.cert, cert: client.cert, key: client.key };
  const servers: RedisServer[] = [];

  /** @returns the URL of a server that shows this certificate and asks for one */
  const start = async (name: string, san: string): Promise<string> => {
    const { certFile, keyFile } = authority.issue(name, san);
    const port = await freePort();
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile];
    const clients = ['--tls-ca-cert-file', authority.certFile, '--tls-auth-clients', 'yes'];
    servers.push(await startRedisServer(['--tls-port', `${port}`, ...files, ...clients, ...brokerUser()]));
    return `rediss://${login}127.0.0.1:${port}`;
  };

  let url: string;
  beforeAll(async () => {
    url = await start('redis', 'IP:127.0.0.1');
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.dispose()));
    authority[Symbol.dispose]();
  });

  storeContract(
    'Redis over TLS',
    (...rooms) => roomSetsIn(url.replace(login, ''), { tls })(...rooms),
    () => openConnectedStore(url, { tls }),
    () => openConnectedStore(url, { tls }),
  );

  async function refused(options: { url: string; tls?: RedisTls }, reason: RegExp): Promise<void> {
    const store = openLoggedStore(options.url, options.tls ? { tls: options.tls } : {});
    await store.logs('store disconnected');
    expect(store.log()).toMatch(reason);
    expect(store.log()).not.toContain('store connected');
    await expect(store.check()).rejects.toMatchObject({ code: 'store_unavailable' });
    await store.close();
  }

  test('refuses a certificate that nobody we know has signed', async () => {
    await refused({ url }, /SELF_SIGNED_CERT|UNABLE_TO/);
    using stranger = startAuthority();
    await refused({ url, tls: { ...tls, ca: stranger.cert } }, /SELF_SIGNED_CERT|UNABLE_TO|ERR_SSL/);
  });

  test('refuses a certificate for another host', async () => {
    await refused({ url: await start('other', 'DNS:redis.example'), tls }, /ERR_TLS_CERT_ALTNAME_INVALID/);
  });

  test('is refused without a certificate of its own', async () => {
    await refused({ url, tls: { ca: authority.cert } }, /ERR_SSL|ECONNRESET|EPIPE/);
  });

  test('does not talk to a server that speaks no TLS', async () => {
    const [server] = servers as [RedisServer];
    await refused(
      { url: server.url.replace('redis:', 'rediss:'), tls },
      /ERR_SSL|ECONNRESET|timeout|ETIMEDOUT/,
    );
  });
});

describe('redis+sentinel://', () => {
  let topology: SentinelTopology;
  const url = () => topology.url.replace('://', `://${login}`);
  beforeAll(async () => {
    topology = await startSentinels(brokerUser());
  });
  afterAll(() => topology?.dispose());

  storeContract(
    'Redis behind Sentinel',
    (...rooms) => roomSetsIn(topology.url)(...rooms),
    () => openConnectedStore(url()),
    () => openConnectedStore(url()),
  );

  test('asks for nothing that the documented user may not do, and works again after a lost connection', async () => {
    const store = await openConnectedStore(url());
    await dropClients(topology.primary);
    await store.logs('store connected');
    await until('the store to be usable', async () => store.check().then(() => true));
    await oneLife(store);
    expect(await refusedOn(topology.primary, topology.replica)).toEqual([]);
    await store.close();
  });

  // The last one here: sentinels whose default user is so limited no longer hear each other.
  test('needs of the sentinels what is documented', async () => {
    const limit = async (...commands: string[]) => {
      for (const sentinel of topology.sentinels) {
        const rules = ['reset', 'on', 'nopass', 'resetchannels', '&+switch-master', '-@all', ...commands];
        await command(sentinel, 'ACL', 'SETUSER', 'default', ...rules);
      }
    };
    await limit(...grants.sentinel, '+acl');
    const store = await openConnectedStore(url());
    await oneLife(store);
    await store.close();

    await limit('+sentinel|sentinels', '+subscribe', '+acl');
    const lost = openLoggedStore(url());
    await lost.logs('store disconnected');
    await expect(lost.check()).rejects.toMatchObject({ code: 'store_unavailable' });
    await lost.close();
  });
});

describe('redis+cluster://', () => {
  const tags = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'];
  let topology: ClusterTopology;
  const url = () => topology.url.replace('://', `://${login}`);
  beforeAll(async () => {
    topology = await startCluster(brokerUser(...grants.cluster));
  });
  afterAll(() => topology?.dispose());

  storeContract(
    'Redis Cluster',
    (...rooms) => roomSetsIn(topology.url)(...rooms),
    () => openConnectedStore(url()),
    () => openConnectedStore(url()),
  );

  test('spreads tickets over all primaries, by all the first characters that an id can have', async () => {
    const store = await openConnectedStore(url());
    for (const tag of tags) {
      let ticket = newTicket(randomBytes);
      while (!ticketId(ticket).startsWith(tag)) ticket = newTicket(randomBytes);
      let first: string | undefined = ticket;
      // The mint under test draws this very nonce first, and any others after it.
      const drawn = (size: number) => {
        const bytes = first ? Buffer.from(first.slice('wst_'.length), 'base64url') : randomBytes(size);
        first = undefined;
        return bytes;
      };
      const { ticket_id } = await mint({ store, randomBytes: drawn }, aRecord(), 30);
      expect(ticket_id.charAt(0)).toBe(tag);
      expect(await store.redeem(ticket_id, aClaim())).toMatchObject({ outcome: 'redeemed' });
    }
    for (const primary of topology.primaries) {
      expect(Number(await command(primary, 'DBSIZE'))).toBeGreaterThan(0);
    }
    await store.close();
  });

  /** A connection, at the very moment at which it says that it is one. */
  const connectedNow = async () => {
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const connection = connect({
      url: url(),
      commandTimeout: 2000,
      onState: (state) => state === 'connected' && resolve(),
    });
    await connected;
    return connection;
  };

  test('never fails the first mint of a node that has seen no primary yet', async () => {
    const connection = await connectedNow();
    for (let node = 0; node < 200; node++) {
      const store = redisStore({ connection, prefix: 'wst:', onFault: () => {} });
      await mint({ store, randomBytes }, aRecord(), 30);
    }
    await connection.close();
  });

  test('fails none of many that come at once as soon as it says that it is connected', async () => {
    const connection = await connectedNow();
    const store = redisStore({ connection, prefix: 'wst:', onFault: () => {} });
    const lives = await Promise.allSettled(Array.from({ length: 64 }, () => oneLife(store)));
    expect(lives.filter(({ status }) => status === 'rejected')).toEqual([]);
    await connection.close();
  });

  test('follows a slot while it moves to another primary', async () => {
    const store = await openConnectedStore(url());
    await until('the store to be usable', async () => store.check().then(() => true));
    const key = '{x}';
    const [one] = topology.primaries as [RedisServer];
    const slot = Number(await command(one, 'CLUSTER', 'KEYSLOT', `wst:c:${key}`));
    const ranges = (await command(one, 'CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
    const ownerPort = ranges.find(([low, high]) => low <= slot && slot <= high)?.[2][1];
    const owner = topology.primaries.find(({ port }) => port === ownerPort) as RedisServer;
    const other = topology.primaries.find(({ port }) => port !== ownerPort) as RedisServer;
    const idOf = async (server: RedisServer) => String(await command(server, 'CLUSTER', 'MYID'));

    await command(other, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOf(owner));
    await command(owner, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', await idOf(other));
    expect(await store.count(key, 60_000)).toMatchObject({ count: 1 });
    expect(await store.count(key, 60_000)).toMatchObject({ count: 2 });
    for (const server of [other, owner]) {
      await command(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', await idOf(other));
    }
    expect(await store.count(key, 60_000)).toMatchObject({ count: 3 });
    await store.close();
  });

  // The last one here: it exchanges a primary and its replica.
  test('asks for nothing that the documented user may not do, through a reconnect and a failover', async () => {
    const servers = [...topology.primaries, ...topology.replicas];
    const store = await openConnectedStore(url());
    await dropClients(...servers);
    await until('the store to be usable', async () => store.check().then(() => true));
    const [primary] = topology.primaries as [RedisServer];
    const replica = await replicaOf(topology, primary);
    await command(replica, 'CLUSTER', 'FAILOVER');
    await until('the failover', async () => (await infoOf(replica, 'replication'))['role'] === 'master');
    for (let life = 0; life < 50; life++) {
      await until('a ticket to live and die', async () => oneLife(store).then(() => true));
    }
    expect(await refusedOn(...servers)).toEqual([]);
    await store.close();
  });
});
