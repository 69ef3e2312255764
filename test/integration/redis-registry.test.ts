import { randomUUID } from 'node:crypto';
import { createClient } from 'redis';
import { describe, expect, inject, test } from 'vitest';
import type { ListedSession } from '../../src/sessions/registry.ts';
import { connect } from '../../src/store/connection.ts';
import { redisRegistry } from '../../src/store/redis-registry.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';
import {
  command,
  cutReplicas,
  infoOf,
  inSync,
  promote,
  replicaOf,
  replicate,
  startCluster,
  startNode,
  until,
} from '../support/redis-topologies.ts';
import { listed, registryContract } from '../support/registry-contract.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const prefix = `test-${randomUUID()}:`;

type Slow = (command: string) => Promise<unknown> | undefined;

async function open(node: string, url = inject('redisUrl'), leaseMs = 15_000, slow: Slow = () => undefined) {
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const connection = connect({
    url,
    commandTimeout: 2000,
    onState: (state) => state === 'connected' && resolve(),
  });
  await connected;
  const command: typeof connection.command = async (name, ...rest) => {
    await slow(name);
    return connection.command(name, ...rest);
  };
  return redisRegistry({
    connection: { ...connection, command },
    ...{ prefix, node, now: Date.now, sessionTtl: 3600, leaseMs },
  });
}

const aSession = (node: string, sub: string): ListedSession => ({
  session_id: randomUUID(),
  sub,
  username: sub,
  node,
  ip: '192.0.2.1',
  since: Date.now() / 1000,
  exp: Date.now() / 1000 + 3600,
  auth_time: 0,
  via: 'ws',
});

registryContract('Redis', open);

describe('Redis registry', () => {
  test('shows every node the sessions of all, and pages through all nodes', async () => {
    const [here, there] = [await open('here'), await open('there')];
    const mine = aSession('here', 'dora');
    const theirs = { ...aSession('there', 'dora'), since: mine.since + 1 };
    await here.add(mine);
    await there.add(theirs);
    expect((await there.ofSubject('dora')).map(({ session_id }) => session_id)).toEqual([
      mine.session_id,
      theirs.session_id,
    ]);
    expect(await here.find(theirs.session_id)).toEqual(theirs);
    await Promise.all([here.close(), there.close()]);
  });

  test('a session whose node has only just come is not swept away by those who look', async () => {
    const here = await open('looker');
    let looking = true;
    const looks = (async () => {
      while (looking) await here.ofSubject('newcomer');
    })();
    for (let round = 0; round < 20; round++) {
      const node = `fresh-${round}`;
      const there = await open(node);
      await there.add(aSession(node, 'newcomer'));
      expect((await here.ofSubject('newcomer')).map((session) => session.node)).toContain(node);
      await there.close();
    }
    looking = false;
    await looks;
    await here.close();
  });

  // In Cluster, leases and sessions are on different primaries, and one may answer later than the other.
  test('nor where the sessions are read later than the leases', async () => {
    const there = await open('late');
    const session = aSession('late', 'latecomer');
    let added: Promise<void> | undefined;
    const slow: Slow = (name) => {
      if (name === 'HVALS') added ??= there.add(session);
      return added;
    };
    const here = await open('early', inject('redisUrl'), 15_000, slow);
    for (let times = 0; times < 2; times++) expect(await here.ofSubject('latecomer')).toEqual([session]);
    await Promise.all([here.close(), there.close()]);
  });

  test('forgets the sessions of a node that is gone, within its lease', async () => {
    const here = await open('survivor');
    const lost = aSession('victim', 'emil');
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const victim = connect({
      url: inject('redisUrl'),
      commandTimeout: 2000,
      onState: (state) => state === 'connected' && resolve(),
    });
    await connected;
    const registry = redisRegistry({
      connection: victim,
      prefix,
      node: 'victim',
      now: Date.now,
      sessionTtl: 60,
      leaseMs: 900,
    });
    await registry.add(lost);
    // Its lease may have run out while nobody could run, and is renewed.
    await expect.poll(() => here.ofSubject('emil')).toHaveLength(1);
    // As a kill -9 does: nothing is taken back.
    await victim.close();
    await expect.poll(() => here.ofSubject('emil')).toEqual([]);
    expect(await here.find(lost.session_id)).toBeUndefined();
    await here.close();
  });

  test('tells everything again when it is told to, before its next lease', async () => {
    const server = await startRedisServer();
    const here = await open('restarted', server.url, 600_000);
    const session = aSession('restarted', 'ivan');
    await here.add(session);
    await command(server, 'FLUSHALL');
    expect(await here.ofSubject('ivan')).toEqual([]);
    here.renew();
    await expect.poll(() => here.ofSubject('ivan')).toEqual([session]);
    await here.close();
    await server.dispose();
  });

  test('passes over, and sweeps, however many a node that is gone has left to one subject', async () => {
    const server = await startRedisServer();
    const here = await open('sweeper', server.url);
    const stays = aSession('sweeper', 'bot');
    await here.add(stays);
    const key = `${prefix}sessions-for:bot`;
    const client = createClient({ url: server.url });
    await client.connect();
    for (let written = 0; written < 130_000; written += 1000) {
      const left = Array.from({ length: 1000 }, () => aSession('long-gone', 'bot'));
      await client.hSet(key, Object.fromEntries(left.map((each) => [each.session_id, JSON.stringify(each)])));
    }
    expect(await here.ofSubject('bot')).toEqual([stays]);
    expect(await client.hLen(key)).toBe(1);
    client.destroy();
    await here.close();
    await server.dispose();
  });

  test('takes out what left while Redis could not be reached, for all nodes', async () => {
    const server = await startRedisServer();
    const proxy = await startTcpProxy(server.port);
    const cutOff = await open('cut-off', `redis://127.0.0.1:${proxy.port}`, 900);
    const watcher = await open('watcher', server.url, 900);
    const [gone, stays] = [aSession('cut-off', 'gina'), aSession('cut-off', 'gina')];
    await Promise.all([cutOff.add(gone), cutOff.add(stays)]);
    proxy.pointTo(1);
    proxy.cut();
    await expect(cutOff.remove(gone)).rejects.toMatchObject({ code: 'store_unavailable' });
    proxy.pointTo(server.port);
    // `stays` may be gone with the lease for a moment.
    await expect
      .poll(() => Promise.all([watcher.ofSubject('gina'), listed(watcher)]))
      .toEqual([[stays], [stays.session_id]]);
    await Promise.all([cutOff.close(), watcher.close()]);
    await proxy.close();
    await server.dispose();
  });

  test('tells a promoted replica what it lacks, and takes out what it still has', async () => {
    const [primary, replica] = [await startNode(), await startNode()];
    await replicate(replica, primary);
    const proxy = await startTcpProxy(primary.port);
    const registry = await open('failed-over', `redis://127.0.0.1:${proxy.port}`, 900);
    const [gone, stays] = [aSession('failed-over', 'hugo'), aSession('failed-over', 'hugo')];
    const late = { ...aSession('failed-over', 'hugo'), since: stays.since + 1 };
    await Promise.all([registry.add(gone), registry.add(stays)]);
    // At its first renewal, a node goes through its hash in any case.
    await until('a renewal', async () => 'cmdstat_hscan' in (await infoOf(primary, 'commandstats')));
    await inSync(replica, primary);
    await cutReplicas(primary);
    await registry.remove(gone);
    await registry.add(late);
    await promote(replica);
    const watcher = await open('watcher', replica.url, 900);
    // Not asked for by its name: the lease that came with it may have run out by now.
    expect(await command(replica, 'HEXISTS', `${prefix}sessions-for:hugo`, gone.session_id)).toBe(1);
    await proxy.move(replica.port);
    await expect
      .poll(async () => [await watcher.ofSubject('hugo'), new Set(await listed(watcher))])
      .toEqual([[stays, late], new Set([stays.session_id, late.session_id])]);
    await Promise.all([registry.close(), watcher.close()]);
    await proxy.close();
    await Promise.all([primary.dispose(), replica.dispose()]);
  });

  test('says what was added and removed last to each primary of a Cluster that fails over', async () => {
    await using stack = new AsyncDisposableStack();
    const cluster = await startCluster();
    stack.defer(() => cluster.dispose());
    const [registry, watcher] = [await open('sharded', cluster.url, 3000), await open('there', cluster.url)];
    stack.defer(async () => void (await Promise.all([registry.close(), watcher.close()])));
    const someSessions = () => Array.from({ length: 30 }, (_, index) => aSession('sharded', `kim-${index}`));
    const [gone, stay, late] = [someSessions(), someSessions(), someSessions()];
    await Promise.all([...gone, ...stay].map(registry.add));
    await until('a renewal', async () => {
      const stats = await Promise.all(cluster.primaries.map((primary) => infoOf(primary, 'commandstats')));
      return stats.some((commands) => 'cmdstat_hscan' in commands);
    });
    const [victim] = cluster.primaries as [RedisServer, ...RedisServer[]];
    const replica = await replicaOf(cluster, victim);
    await inSync(replica, victim);
    await cutReplicas(victim);
    await Promise.all([...gone.map(registry.remove), ...late.map(registry.add)]);
    await victim.stop('SIGKILL');
    const ofAll = async () => {
      const subjects = gone.map(({ sub }) => watcher.ofSubject(sub));
      return new Set((await Promise.all(subjects)).flat().map(({ session_id }) => session_id));
    };
    await expect
      .poll(() => ofAll().catch(() => undefined), { timeout: 20_000 })
      .toEqual(new Set([...stay, ...late].map(({ session_id }) => session_id)));
  }, 60_000);

  test.each(['also where something was added since', 'also where the answer that said so was lost'])(
    'tells everything again after its lease has run out, %s',
    async (how) => {
      const leaseMs = 2400;
      const server = await startRedisServer();
      const proxy = await startTcpProxy(server.port);
      const registry = await open('away', `redis://127.0.0.1:${proxy.port}`, leaseMs);
      const watcher = await open('watcher', server.url, leaseMs);
      const first = aSession('away', 'ines');
      await registry.add(first);
      // The second renewal comes after all that the first one does.
      const lease = () => command(server, 'ZSCORE', `${prefix}nodes`, 'away');
      for (const renewal of ['first', 'second']) {
        const known = await lease();
        await until(`the ${renewal} renewal`, async () => (await lease()) !== known);
      }
      proxy.pointTo(1);
      proxy.cut();
      await expect.poll(() => watcher.ofSubject('ines')).toEqual([]);
      const second = { ...aSession('away', 'ines'), since: first.since + 1 };
      // As a lease does that Redis had before the connection broke, and carries out afterwards.
      if (how.includes('lost'))
        await command(server, 'ZADD', `${prefix}nodes`, `${Date.now() + leaseMs}`, 'away');
      proxy.pointTo(server.port);
      await until('the node to be back', () => registry.add(second).then(() => true));
      await expect
        .poll(async () => [await watcher.ofSubject('ines'), new Set(await listed(watcher))])
        .toEqual([[first, second], new Set([first.session_id, second.session_id])]);
      await Promise.all([registry.close(), watcher.close()]);
      await proxy.close();
      await server.dispose();
    },
  );

  test('lists at once also what comes right after Redis was emptied', async () => {
    const redis = await startRedisServer();
    const [here, there] = [await open('here', redis.url), await open('there', redis.url)];
    const elsewhere = (sub: string) => ({ ...aSession('there', sub), via: 'verify' });
    await there.add(elsewhere('before'));
    await command(redis, 'FLUSHALL');
    const [own, held] = [aSession('there', 'after'), elsewhere('after')];
    await there.add(own);
    await there.add(held);
    const names = [own.session_id, held.session_id];
    const found = (await here.ofSubject('after')).map(({ session_id }) => session_id);
    expect(found.sort()).toEqual(names.toSorted());
    for (const name of names) expect(await here.find(name)).toMatchObject({ session_id: name });
    expect(await listed(here)).toEqual(expect.arrayContaining(names));
    await Promise.all([here.close(), there.close()]);
    await redis.dispose();
  });

  test('lists what is held elsewhere until it ends, whatever becomes of the node that let it in', async () => {
    const server = await startRedisServer();
    const [first, second] = [await open('first', server.url, 600), await open('second', server.url, 600)];
    const stays = { ...aSession('first', 'jill'), via: 'redeem' };
    const ends = { ...aSession('first', 'jill'), via: 'verify', since: stays.since + 1 };
    await Promise.all([first.add(stays), first.add(ends), first.add(aSession('first', 'jill'))]);
    await first.close();
    const seen = async () => [await second.ofSubject('jill'), new Set(await listed(second))];
    expect(await seen()).toEqual([[stays, ends], new Set([stays.session_id, ends.session_id])]);
    expect(await second.find(ends.session_id)).toEqual(ends);
    await second.add({ ...aSession('second', 'jill'), via: 'redeem', exp: Date.now() / 1000 - 1 });
    const taken = { ...aSession('second', 'jill'), via: 'verify' };
    await second.add(taken);
    expect(await second.find(taken.session_id)).toEqual(taken);
    await second.remove(taken);
    expect(await seen()).toEqual([[stays, ends], new Set([stays.session_id, ends.session_id])]);
    await second.close();
    await server.dispose();
  });

  test('tells a Redis that lost everything again', async () => {
    const server = await startRedisServer();
    const registry = await open('steady', server.url, 600);
    const session = aSession('steady', 'fred');
    const elsewhere = { ...aSession('steady', 'fred'), via: 'redeem', since: session.since + 1 };
    await Promise.all([registry.add(session), registry.add(elsewhere)]);
    await command(server, 'FLUSHALL');
    await expect
      .poll(async () => [await registry.ofSubject('fred'), new Set(await listed(registry))])
      .toEqual([[session, elsewhere], new Set([session.session_id, elsewhere.session_id])]);
    await registry.close();
    await server.dispose();
  });
});
