import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, type RedisConnection } from '../../src/store/connection.ts';
import { redisFamilies } from '../../src/store/redis-families.ts';
import { mint } from '../../src/tickets/mint.ts';
import { type LoggedStore, openConnectedStore, openLoggedStore } from '../support/logged-store.ts';
import { aClaim, aRecord } from '../support/records.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { command, inSync, promote, replicate, startNode, until } from '../support/redis-topologies.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const isUsable = (store: LoggedStore) => store.check().then(() => true);
const unfitLines = (store: LoggedStore) =>
  store
    .log()
    .split('\n')
    .filter((line) => line.includes('store unfit'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Says so whenever it is asked, and once in its log. */
async function saysSo(store: LoggedStore, code: string): Promise<void> {
  const message = `Redis refuses our commands (${code}).`;
  for (let round = 0; round < 3; round++) {
    await expect(store.check()).rejects.toMatchObject({ code: 'store_unavailable', status: 503, message });
  }
  expect(unfitLines(store)).toMatchObject([{ level: 'error', msg: `store unfit: ${message}` }]);
}

describe('a Redis that refuses our writes is not called ready', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedisServer(['--maxmemory-policy', 'noeviction']);
  });
  afterAll(() => server?.dispose());
  const set = (name: string, value: string) => command(server, 'CONFIG', 'SET', name, value);

  const refusals: [code: string, why: string, spoil: () => Promise<unknown>, mend: () => Promise<unknown>][] =
    [
      [
        'NOREPLICAS',
        'too few replicas',
        () => set('min-replicas-to-write', '1'),
        () => set('min-replicas-to-write', '0'),
      ],
      ['OOM', 'its memory is full', () => set('maxmemory', '1'), () => set('maxmemory', '0')],
    ];

  const heals = async (store: LoggedStore) => {
    await until('the store to heal', () => isUsable(store));
    expect(store.log().split('store fit again')).toHaveLength(2);
    const { ticket_id } = await mint({ store, randomBytes }, aRecord(), 30);
    expect(await store.redeem(ticket_id, aClaim())).toMatchObject({ outcome: 'redeemed' });
  };

  test.each(refusals)('%s, since before we came: %s', async (code, _why, spoil, mend) => {
    await spoil();
    const store = openLoggedStore(server.url);
    try {
      await store.logs('store unfit: ');
      await saysSo(store, code);
      await mend();
      await heals(store);
    } finally {
      await mend();
      await store.close();
    }
  });

  test.each(refusals)('%s, while we are connected: %s', async (code, _why, spoil, mend) => {
    const store = await openConnectedStore(server.url);
    try {
      await until('the store to be usable', () => isUsable(store));
      await spoil();
      await saysSo(store, code);
      await mend();
      await heals(store);
    } finally {
      await mend();
      await store.close();
    }
  });
});

test.each(['EVALSHA', 'GETDEL', 'INFO'])('a Redis without %s is not called ready', async (name) => {
  const server = await startRedisServer(['--rename-command', name, `renamed-${name}`]);
  const store = openLoggedStore(server.url);
  try {
    await store.logs('store unfit: ');
    await saysSo(store, 'ERR');
  } finally {
    await store.close();
    await server.dispose();
  }
});

describe('a connection that was left on a demoted primary', () => {
  let old: RedisServer;
  let next: RedisServer;
  let proxy: TcpProxy;
  beforeAll(async () => {
    [old, next] = [await startNode(), await startNode()];
    await replicate(next, old);
    proxy = await startTcpProxy(old.port);
  });
  afterAll(async () => {
    await proxy?.close();
    await Promise.all([old?.dispose(), next?.dispose()]);
  });

  /** The address leads to the other server from now on, but nobody ends the connections that there are. */
  const exchange = async () => {
    await promote(next);
    await replicate(old, next);
    proxy.pointTo(next.port);
    [old, next] = [next, old];
  };

  const url = () => `redis://127.0.0.1:${proxy.port}`;
  const calls: [what: string, call: (store: LoggedStore, connection: RedisConnection) => Promise<unknown>][] =
    [
      ['a mint', (store) => mint({ store, randomBytes }, aRecord(), 30)],
      ['a count', (store) => store.count(randomUUID(), 1000)],
      ['a check', (store) => store.check()],
      [
        'the beginning of a refresh family',
        (_store, connection) =>
          redisFamilies({ connection, prefix: 'wst:' }).begin(
            randomUUID(),
            { sub: 'alice', username: 'Alice', auth_time: 1 },
            1000,
          ),
      ],
      ['a plain write', (_store, connection) => connection.command('HSET', 'wst:hash', 'field', 'value')],
    ];

  test.each(calls)('leaves it by itself after %s', async (_what, call) => {
    const store = await openConnectedStore(url());
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const connection = connect({
      url: url(),
      commandTimeout: 1000,
      onState: (state) => state === 'connected' && resolve(),
    });
    try {
      await connected;
      await until('the call to succeed', () => call(store, connection).then(() => true));
      await inSync(next, old);
      await exchange();
      // What it was asked on the old primary may fail; nobody else tells it that it has to go.
      await until('the same call to succeed again', () => call(store, connection).then(() => true), 10);
    } finally {
      await store.close();
      await connection.close();
    }
  });
});
