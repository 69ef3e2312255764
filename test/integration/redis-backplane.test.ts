import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect } from '../../src/store/connection.ts';
import { redisBackplane } from '../../src/store/redis-backplane.ts';
import { parseRedisUrl } from '../../src/store/redis-url.ts';
import { grants, userRules } from '../support/acl.ts';
import { backplaneContract } from '../support/backplane-contract.ts';
import { startBroker } from '../support/broker-process.ts';
import { openChat } from '../support/chat-socket.ts';
import { until } from '../support/e2e-until.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { type ClusterTopology, command, startCluster } from '../support/redis-topologies.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const log = { error() {}, info() {} };

interface Options {
  url?: string;
  prefix?: string;
  history?: number;
  leaseMs?: number;
  sweepMs?: number;
  node?: string;
}

async function connected(url: string) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const onState = (state: string) => state === 'connected' && resolve();
  const connection = connect({ url, commandTimeout: 2000, onState });
  await promise;
  return connection;
}

async function open({
  url = inject('redisUrl'),
  prefix = `test-${randomUUID()}:`,
  history = 10,
  leaseMs,
  sweepMs,
  node = randomUUID(),
}: Options = {}) {
  const connection = await connected(url);
  const place = { address: parseRedisUrl(url), tls: undefined, commandTimeout: 2000 };
  const intervals = { ...(leaseMs !== undefined && { leaseMs }), ...(sweepMs !== undefined && { sweepMs }) };
  const backplane = redisBackplane({ connection, place, prefix, node, history, log, ...intervals });
  return {
    ...backplane,
    async close() {
      await backplane.close();
      await connection.close();
    },
  };
}

const said = (text: string) => ({ id: randomUUID(), text });
const who = { sub: 'alice', username: 'Alice' };

backplaneContract('Redis', ({ history }) => open({ history }));

test('nobody arrives in a Redis that is full', async () => {
  const redis = await startRedisServer(['--maxmemory-policy', 'noeviction']);
  const backplane = await open({ url: redis.url });
  await command(redis, 'CONFIG', 'SET', 'maxmemory', '1');
  await expect(backplane.arrive('lobby', who)).rejects.toMatchObject({ code: 'store_unavailable' });
  expect(await command(redis, 'DBSIZE')).toBe(0);
  await command(redis, 'CONFIG', 'SET', 'maxmemory', '0');
  expect(await backplane.arrive('lobby', who)).toBe(true);
  await backplane.close();
  await redis.dispose();
});

describe('in Cluster', () => {
  let cluster: ClusterTopology;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster?.dispose());
  backplaneContract('Redis Cluster', ({ history }) => open({ history, url: cluster.url }));
});

describe('several nodes', () => {
  test('hear each other, and are one as to who is there', async () => {
    const prefix = `test-${randomUUID()}:`;
    const [here, there] = [await open({ prefix }), await open({ prefix })];
    const heard: string[] = [];
    there.hear('a', ({ text }) => heard.push(text));
    // Saying something there waits until it hears.
    await there.say('a', said('0'), true);
    await here.say('a', said('1'), true);
    await until(() => heard.length === 2, 'both are heard');
    expect(heard).toEqual(['0', '1']);

    expect(await here.arrive('a', who)).toBe(true);
    expect(await there.arrive('a', who)).toBe(false);
    expect(await here.depart('a', who)).toBe(false);
    expect(await here.members('a')).toEqual([who]);
    expect(await there.depart('a', who)).toBe(true);
    await here.close();
    await there.close();
  });

  test('one subject under another name on each is gone when both have left', async () => {
    const prefix = `test-${randomUUID()}:`;
    const [here, there] = [await open({ prefix }), await open({ prefix })];
    const alicia = { sub: who.sub, username: 'Alicia' };
    expect(await here.arrive('a', who)).toBe(true);
    expect(await there.arrive('a', alicia)).toBe(false);
    expect(await here.members('a')).toEqual([who]);
    expect(await here.depart('a', who)).toBe(false);
    expect(await there.depart('a', alicia)).toBe(true);
    expect(await here.members('a')).toEqual([]);
    await here.close();
    await there.close();
  });

  test('those of a node that has died are gone with its lease, those of a live one stay', async () => {
    const prefix = `test-${randomUUID()}:`;
    const [alive, watcher] = [await open({ prefix, leaseMs: 600 }), await open({ prefix })];
    const room = `${prefix}chat:{a}`;
    const connection = await connected(inject('redisUrl'));
    // What a node would leave behind that was killed.
    const keys = [`${room}:members`, `${room}:names`, `${room}:nodes:bob`];
    await alive.arrive('a', who);
    await connection.run('arrive', keys, 'killed', 'bob', 'bob', 3000);
    const there = async () => (await watcher.members('a')).map(({ sub }) => sub).sort();
    // The lease of a live one may run out while nobody can run, and is renewed.
    await expect.poll(there).toEqual(['alice', 'bob']);
    await watcher.arrive('a', { sub: 'carol', username: 'carol' });
    await expect.poll(there).toEqual(['alice', 'carol']);
    // No name stays behind either.
    expect(await connection.command('HVALS', `${room}:names`)).toHaveLength(2);
    await alive.close();
    await watcher.close();
    await connection.close();
  });

  test.each(['breaks', 'falls silent'])(
    'what is said while the connection %s is heard afterwards, once',
    async (how) => {
      const prefix = `test-${randomUUID()}:`;
      const server = await startRedisServer();
      const wire = await startTcpProxy(server.port);
      const behind = await open({ prefix, url: `redis://127.0.0.1:${wire.port}` });
      const other = await open({ prefix, url: server.url });
      const heard: string[] = [];
      behind.hear('a', ({ text }) => heard.push(text));
      await behind.say('a', said('before'), true);
      await until(() => heard.length === 1, 'it is heard');
      // Where nobody ends the connection, the node has to notice.
      if (how === 'breaks') wire.swallowReplies();
      else wire.goSilent();
      for (const text of ['1', '2', '3']) await other.say('a', said(text), true);
      if (how === 'breaks') wire.cut();
      await until(() => heard.length >= 4, 'what was missed is heard', 20);
      await other.say('a', said('after'), true);
      await until(() => heard.length >= 5, 'what comes now is heard');
      expect(heard).toEqual(['before', '1', '2', '3', 'after']);
      await behind.close();
      await other.close();
      await wire.close();
      await server.dispose();
    },
  );

  test('what is not kept does not make it forget what it has heard', async () => {
    const prefix = `test-${randomUUID()}:`;
    const wire = await startTcpProxy(Number(new URL(inject('redisUrl')).port));
    const behind = await open({ prefix, url: `redis://127.0.0.1:${wire.port}`, history: 3 });
    const other = await open({ prefix, history: 3 });
    const heard: string[] = [];
    behind.hear('a', ({ text }) => text === 'presence' || heard.push(text));
    for (const text of ['1', '2']) await behind.say('a', said(text), true);
    for (let n = 0; n < 200; n++) await behind.say('a', said('presence'), false);
    await until(() => heard.length === 2, 'both are heard');
    wire.swallowReplies();
    await other.say('a', said('missed'), true);
    wire.cut();
    await until(() => heard.includes('missed'), 'what was missed is heard');
    expect(heard).toEqual(['1', '2', 'missed']);
    await behind.close();
    await other.close();
    await wire.close();
  });

  test('who could not read the history at first is not told it later', async () => {
    const server = await startRedisServer();
    const [prefix, password] = ['wst:', 'of-the-broker'];
    const rules = userRules(password, [...grants.always, ...grants.chat]);
    await command(server, 'ACL', 'SETUSER', 'broker', ...rules, '-lrange');
    const other = await open({ prefix, url: server.url });
    for (const text of ['old', 'older']) await other.say('a', said(text), true);
    const backplane = await open({ prefix, url: `redis://broker:${password}@127.0.0.1:${server.port}` });
    const heard: string[] = [];
    backplane.hear('a', ({ text }) => heard.push(text));
    await backplane.say('a', said('1'), true);
    await until(() => heard.includes('1'), 'it is heard');
    await command(server, 'CONFIG', 'RESETSTAT');
    await command(server, 'ACL', 'SETUSER', 'broker', '+lrange');
    const reads = async () =>
      /cmdstat_lrange:calls=[1-9]/.test(String(await command(server, 'INFO', 'commandstats')));
    await until(reads, 'the history is read');
    await backplane.say('a', said('2'), true);
    await until(() => heard.includes('2'), 'the next is heard');
    expect(heard).toEqual(['1', '2']);
    await backplane.close();
    await other.close();
    await server.dispose();
  });

  test('while Redis is away, speaking is refused in time', async () => {
    const server = await startRedisServer();
    const backplane = await open({ url: server.url });
    await server.dispose();
    const asked = performance.now();
    await expect(backplane.say('a', said('x'), true)).rejects.toMatchObject({ code: 'store_unavailable' });
    backplane.hear('b', () => {});
    await expect(backplane.say('b', said('x'), true)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(performance.now() - asked).toBeLessThan(10_000);
    await backplane.close();
  });
});

describe('a Redis user with exactly our commands', () => {
  const password = 'of-the-broker';
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedisServer();
  });
  afterAll(() => server?.dispose());

  /** One of each thing that is done. @param patience seconds: few where it is going to fail */
  const live = async (commands: readonly string[], patience: number) => {
    await command(server, 'FLUSHALL');
    await command(server, 'ACL', 'SETUSER', 'broker', ...userRules(password, commands));
    const url = `redis://broker:${password}@127.0.0.1:${server.port}`;
    const backplane = await open({ url, prefix: 'wst:', sweepMs: 100 });
    try {
      const heard: string[] = [];
      const stop = backplane.hear('a', ({ text }) => heard.push(text));
      await backplane.say('a', said('x'), true);
      await until(() => heard.length === 1, 'it is heard', patience);
      await backplane.arrive('a', who);
      await backplane.members('a');
      await backplane.history('a');
      await backplane.depart('a', who);
      for (let n = 0; n < 100; n++) await backplane.say(`b${n % 2}`, said('x'), true);
      await until(
        async () => (await command(server, 'EXISTS', 'wst:chat-rooms')) === 1,
        'rooms are counted',
        patience,
      );
      stop();
      await until(
        async () => channels((await command(server, 'PUBSUB', 'CHANNELS')) as string[]),
        'unheard',
        patience,
      );
    } finally {
      await backplane.close();
    }
  };
  const channels = (all: string[]) => !all.includes('wst:chat:a');

  test('can chat', () => live([...grants.always, ...grants.chat], 15));
  test.each(grants.chat)('needs %s for it', async (grant) => {
    const others = grants.chat.filter((other) => other !== grant);
    await expect(live([...grants.always, ...others], 2)).rejects.toThrow();
  });
});

test('after a break, the histories of many rooms are read a hundred at a time', async () => {
  const server = await startRedisServer();
  const connection = await connected(server.url);
  let [underWay, most, read] = [0, 0, 0];
  const counted: typeof connection = {
    ...connection,
    async command(name, ...args) {
      if (name !== 'LRANGE' || !`${args[0]}`.includes('many-')) return connection.command(name, ...args);
      most = Math.max(most, ++underWay);
      read++;
      return connection.command(name, ...args).finally(() => underWay--);
    },
  };
  const place = { address: parseRedisUrl(server.url), tls: undefined, commandTimeout: 2000 };
  const backplane = redisBackplane({
    connection: counted,
    place,
    prefix: 'wst:',
    node: 'a',
    history: 10,
    log,
  });
  backplane.hear('first', () => {});
  await backplane.say('first', said('it is connected'), false);
  const rooms = Array.from({ length: 1000 }, (_, n) => `many-${n}`);
  for (const room of rooms) backplane.hear(room, () => {});
  // One before the channel is subscribed to, one after.
  await until(() => read === 2 * rooms.length && underWay === 0, 'each is heard');
  [most, read] = [0, 0];
  await command(server, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
  await until(() => read === rooms.length && underWay === 0, 'each is read again');
  expect(most).toBe(100);
  await backplane.close();
  await connection.close();
  await server.dispose();
});

test('rooms that somebody makes up do not pile up, and those in use stay', async () => {
  const backplane = await open();
  // Those of the same millisecond are in the order of their names.
  const named = (n: number) => `room ${String(n).padStart(3, '0')}`;
  await backplane.say('in use', said('1'), true);
  for (let n = 0; n < 520; n++) {
    await backplane.say(named(n), said('x'), true);
    if (n === 260) await backplane.say('in use', said('2'), true);
  }
  const forgotten = (n: number) => async () => (await backplane.history(named(n))).length === 0;
  await until(forgotten(0), 'the oldest is forgotten');
  await until(forgotten(20), 'the last to go is forgotten');
  for (const n of [21, 519]) expect(await backplane.history(named(n))).toHaveLength(1);
  expect(await backplane.history('in use')).toHaveLength(2);
  await backplane.close();
});

test('a user who may not hear any more, or a connection that breaks while it subscribes, ends no process', async () => {
  const server = await startRedisServer();
  const broker = await startBroker({ REDIS_URL: server.url, LOG_LEVEL: 'info' });
  const { url } = await broker.mint();
  const alice = await openChat(url);
  await command(server, 'ACL', 'SETUSER', 'default', 'resetchannels');
  for (let n = 0; n < 3; n++) {
    await command(server, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => broker.output().includes('the chat cannot be heard'), 'it is said');
  }
  await command(server, 'ACL', 'SETUSER', 'default', 'allchannels');
  await until(() => broker.output().includes('the chat is heard again'), 'it is heard again');
  alice.say({ type: 'still' });
  expect(await alice.next('still')).toMatchObject({ user: 'alice' });
  expect(broker.output().match(/the chat cannot be heard[^"]*/g)).toEqual([
    'the chat cannot be heard: is its Redis user granted what docs/guarantees.md lists?',
  ]);
  alice.socket.close();
  await broker.stop();
  await server.dispose();
});

test.each(['rpush', 'publish'])('a user who may not %s is a line in the log, once', async (grant) => {
  const server = await startRedisServer();
  const broker = await startBroker({ REDIS_URL: server.url });
  const { url } = await broker.mint();
  const alice = await openChat(url);
  await command(server, 'ACL', 'SETUSER', 'default', `-${grant}`);
  for (let n = 0; n < 3; n++) {
    alice.say({ type: 'message', text: 'hello' });
    expect(await alice.next('error')).toMatchObject({ error: 'store_unavailable' });
  }
  await command(server, 'ACL', 'SETUSER', 'default', `+${grant}`);
  alice.say({ type: 'message', text: 'hello again' });
  expect(await alice.next('message')).toMatchObject({ text: 'hello again' });
  alice.socket.close();
  await broker.stop();
  expect(broker.output().match(/the chat is refused[^"]*/g)).toEqual([
    'the chat is refused: is its Redis user granted what docs/guarantees.md lists?',
  ]);
  await server.dispose();
});

test('what is said in one database is not heard in another', async () => {
  const prefix = `test-${randomUUID()}:`;
  const server = await startRedisServer();
  const [zero, one] = [
    await open({ prefix, url: `${server.url}/0` }),
    await open({ prefix, url: `${server.url}/1` }),
  ];
  const heard: string[] = [];
  zero.hear('lobby', ({ text }) => heard.push(`zero: ${text}`));
  one.hear('lobby', ({ text }) => heard.push(`one: ${text}`));
  await one.say('lobby', said('in one'), true);
  await zero.say('lobby', said('in zero'), true);
  await expect.poll(() => heard).toEqual(['one: in one', 'zero: in zero']);
  await Promise.all([zero.close(), one.close()]);
  await server.dispose();
});

test('what a history shows has been heard by then, also what was missed in a break', async () => {
  const server = await startRedisServer();
  const prefix = 'wst:';
  const [here, there] = [await open({ prefix, url: server.url }), await open({ prefix, url: server.url })];
  const heard: string[] = [];
  here.hear('a', ({ text }) => heard.push(text));
  await here.say('a', said('before'), true);
  await expect.poll(() => heard).toEqual(['before']);
  await command(server, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
  await there.say('a', said('missed'), true);
  const history = (await here.history('a')).map(({ text }) => text);
  expect([history, heard]).toEqual([
    ['before', 'missed'],
    ['before', 'missed'],
  ]);
  await there.say('a', said('after'), true);
  await expect.poll(() => heard).toContain('after');
  expect(heard.filter((text) => text === 'missed')).toHaveLength(1);
  await Promise.all([here.close(), there.close()]);
  await server.dispose();
});
