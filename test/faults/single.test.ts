import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/store/connection.ts';
import { redisStore } from '../../src/store/redis.ts';
import { contend } from '../support/contenders.ts';
import { doubleUse, freshTickets, tally, works } from '../support/double-use.ts';
import { report } from '../support/fault-table.ts';
import { aClaim, aRecord, aTicketId } from '../support/records.ts';
import type { RedisServer } from '../support/redis-server.ts';
import {
  command,
  cutReplicas,
  infoOf,
  inSync,
  promote,
  replicate,
  startNode,
  until,
} from '../support/redis-topologies.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const started: RedisServer[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.dispose()));
});

async function node(args: readonly string[] = []): Promise<RedisServer> {
  const server = await startNode(args);
  started.push(server);
  return server;
}

async function pair(
  replicaArgs: readonly string[] = [],
): Promise<[primary: RedisServer, replica: RedisServer]> {
  const [primary, replica] = [await node(), await node(replicaArgs)];
  await replicate(replica, primary);
  return [primary, replica];
}

/** Everything is on the replica; nothing that follows will be. */
async function leaveBehind(primary: RedisServer, replica: RedisServer): Promise<void> {
  await inSync(replica, primary);
  await cutReplicas(primary);
}

describe('a used ticket stays used', () => {
  test('when Redis is killed and starts from its last RDB snapshot', async () => {
    const server = await node();
    await doubleUse({
      fault: 'RDB snapshot, kill -9, restart',
      url: server.url,
      prepare: async () => void (await command(server, 'SAVE')),
      async strike() {
        await server.stop('SIGKILL');
        await server.restart();
        return undefined;
      },
      fooled: ['bare GETDEL'],
    });
  });

  test('when the power goes before the AOF reached the disk', async () => {
    const server = await node(['--appendonly', 'yes', '--appendfsync', 'everysec']);
    const onDisk = join(server.dir, 'on-disk');
    await doubleUse({
      fault: 'AOF everysec, power loss',
      url: server.url,
      async prepare() {
        // What an fsync has reached by now; what is appended later is in the page cache when the power goes.
        await until(
          'the fsync',
          async () => (await infoOf(server, 'persistence'))['aof_pending_bio_fsync'] === '0',
        );
        await cp(join(server.dir, 'appendonlydir'), onDisk, { recursive: true });
      },
      async strike() {
        await server.stop('SIGKILL');
        await rm(join(server.dir, 'appendonlydir'), { recursive: true });
        await cp(onDisk, join(server.dir, 'appendonlydir'), { recursive: true });
        await server.restart();
        return undefined;
      },
      fooled: ['bare GETDEL'],
    });
  });

  test('when a replica that lagged is promoted by hand', async () => {
    const [primary, replica] = await pair();
    await doubleUse({
      fault: 'lagging replica promoted by hand',
      url: primary.url,
      prepare: () => leaveBehind(primary, replica),
      async strike() {
        await primary.stop('SIGKILL');
        await promote(replica);
        return replica.url;
      },
      fooled: ['bare GETDEL'],
    });
  });

  test('when the old primary lives on beside the new one', async () => {
    const [primary, replica] = await pair();
    await doubleUse({
      fault: 'split brain, old primary still reachable',
      url: primary.url,
      prepare: () => leaveBehind(primary, replica),
      async strike() {
        await promote(replica);
        return replica.url;
      },
      fooled: ['bare GETDEL'],
    });
  });

  test('when the old primary is demoted, resynced and promoted again', async () => {
    const [primary, replica] = await pair();
    await doubleUse({
      fault: 'failback to the same process',
      url: primary.url,
      prepare: () => leaveBehind(primary, replica),
      async strike() {
        await promote(replica);
        await replicate(primary, replica);
        await promote(primary);
        return undefined;
      },
      fooled: ['bare GETDEL', 'run_id'],
    });
  });

  test('when a proxy moves the connection to another backend', async () => {
    const [primary, replica] = await pair();
    const proxy = await startTcpProxy(primary.port);
    await doubleUse({
      fault: 'a proxy moves the connection to another backend',
      url: `redis://127.0.0.1:${proxy.port}`,
      contenders: ['product', 'bare GETDEL', 'run_id', 'run_id per connection'],
      prepare: () => leaveBehind(primary, replica),
      async strike() {
        await promote(replica);
        await proxy.move(replica.port);
        return undefined;
      },
      fooled: ['bare GETDEL', 'run_id per connection'],
    });
    await proxy.close();
  });
});

describe('a ticket opens once', () => {
  test('when it is presented at a writable replica, and then at the primary', async () => {
    const [primary, replica] = await pair(['--replica-read-only', 'no']);
    const names = ['product', 'bare GETDEL'] as const;
    const [at, astray] = [
      names.map((name) => contend(name, primary.url)),
      names.map((name) => contend(name, replica.url)),
    ];
    await Promise.all(at.map(works));
    const doubles: Record<string, string> = {};
    let refusals = {};
    for (const [index, name] of names.entries()) {
      const [there, here] = [astray[index], at[index]];
      if (!there || !here) throw new Error('no contender');
      await until('the replica to answer', async () => (await there.redeem(aTicketId())) !== 'error');
      const ids = await Promise.all(Array.from({ length: 200 }, () => here.mint()));
      await inSync(replica, primary);
      const first = await Promise.all(ids.map((id) => there.redeem(id)));
      const second = await Promise.all(ids.map((id) => here.redeem(id)));
      doubles[name] = `${ids.filter((_, i) => first[i] === 'opened' && second[i] === 'opened').length}/200`;
      if (name === 'product') {
        refusals = tally(first);
        expect(tally(second)).toEqual({ opened: 200 });
      }
    }
    const fresh = await freshTickets(at);
    report({ fault: 'a writable replica', doubles, refusals, fresh });
    expect(doubles).toEqual({ product: '0/200', 'bare GETDEL': '200/200' });
    expect(refusals).toEqual({ store_unavailable: 200 });
    expect(fresh).toBe(100);
    for (const contender of [...at, ...astray]) await contender.close();
  });

  test('when its mint is sent again after it was used', async () => {
    const server = await node();
    const connection = connect({ url: server.url, commandTimeout: 1000 });
    const mints: Parameters<typeof connection.run>[] = [];
    const store = redisStore({
      connection: {
        ...connection,
        run(...call) {
          if (call[0] === 'mint') mints.push(call);
          return connection.run(...call);
        },
      },
      prefix: 'wst:',
      onFault() {},
    });
    await until('the store', async () => (await store.put(aTicketId(), aRecord(), 1000)) === 'stored');

    const ids = Array.from({ length: 100 }, aTicketId);
    mints.length = 0;
    for (const id of ids) expect(await store.put(id, aRecord(), 30_000)).toBe('stored');
    for (const id of ids) expect(await store.redeem(id, aClaim())).toMatchObject({ outcome: 'redeemed' });
    for (const late of mints) expect((await connection.run(...late))[1]).toBe('taken');
    const second = await Promise.all(ids.map(async (id) => (await store.redeem(id, aClaim())).outcome));

    const control = contend('bare GETDEL', server.url);
    const used = await Promise.all(ids.map(() => control.mint()));
    await Promise.all(used.map((id) => control.redeem(id)));
    for (const id of used)
      await command(server, 'SET', `bare:{${id.charAt(0)}}:${id}`, 'ticket', 'EX', 300, 'NX');
    const controlled = tally(await Promise.all(used.map((id) => control.redeem(id))));
    const again = contend('product', server.url);
    await works(again);
    const fresh = await freshTickets([again]);

    report({
      fault: 'a late or re-sent SET lands after the redemption',
      doubles: {
        product: `${tally(second)['opened'] ?? 0}/100`,
        'bare GETDEL': `${controlled['opened']}/100`,
      },
      refusals: tally(second),
      fresh,
    });
    expect(tally(second)).toEqual({ used: 100 });
    expect(controlled).toEqual({ opened: 100 });
    expect(fresh).toBe(100);
    for (const open of [control, again, store]) await open.close();
  });

  test('when its mint loses the reply, and the client library connects to another primary', async () => {
    const [primary, other] = await pair();
    await promote(other);
    const proxy = await startTcpProxy(primary.port);
    const doubles: Record<string, string> = {};
    const tickets = 20;
    for (const name of ['product', 'bare GETDEL'] as const) {
      const contender = contend(name, `redis://127.0.0.1:${proxy.port}`);
      await works(contender);
      const ids: string[] = [];
      for (let index = 0; index < tickets; index++) {
        await works(contender);
        const before = new Set(await keysOf(primary));
        proxy.swallowReplies();
        const minted = contender.mint().catch(() => undefined);
        await until('the mint to be executed', async () => {
          const written = (await keysOf(primary)).find((key) => !before.has(key));
          if (written !== undefined) ids.push(written.split(':').at(-1) ?? '');
          return written !== undefined;
        });
        proxy.pointTo(other.port);
        proxy.cut();
        await minted;
        proxy.pointTo(primary.port);
        proxy.cut();
      }
      await contender.close();
      const [here, there] = [contend(name, primary.url), contend(name, other.url)];
      await Promise.all([works(here), works(there)]);
      const pairs = await Promise.all(ids.map(async (id) => [await here.redeem(id), await there.redeem(id)]));
      doubles[name] =
        `${pairs.filter((pair) => pair.every((answer) => answer === 'opened')).length}/${tickets}`;
      await here.close();
      await there.close();
    }
    const again = contend('product', primary.url);
    await works(again);
    const fresh = await freshTickets([again]);
    report({ fault: 'a mint re-sent by the library to another node', doubles, refusals: {}, fresh });
    expect(doubles['product']).toBe(`0/${tickets}`);
    expect(doubles['bare GETDEL']).not.toBe(`0/${tickets}`);
    expect(fresh).toBe(100);
    await again.close();
    await proxy.close();
  });

  test('at most, when the reply to its redemption is lost', async () => {
    const server = await node();
    const proxy = await startTcpProxy(server.port);
    const contender = contend('product', `redis://127.0.0.1:${proxy.port}`);
    await works(contender);
    const ids = await Promise.all(Array.from({ length: 50 }, () => contender.mint()));
    proxy.swallowReplies();
    const first = await Promise.all(ids.map((id) => contender.redeem(id)));
    proxy.cut();
    await works(contender);
    const second = tally(await Promise.all(ids.map((id) => contender.redeem(id))));
    const fresh = await freshTickets([contender]);
    report({
      fault: 'the reply is lost after the script ran',
      doubles: { product: `${second['opened'] ?? 0}/50` },
      refusals: second,
      fresh,
    });
    expect(tally(first)).toEqual({ store_unavailable: 50 });
    expect(second).toEqual({ used: 50 });
    expect(fresh).toBe(100);
    await contender.close();
    await proxy.close();
  });
});

async function keysOf(server: RedisServer): Promise<string[]> {
  return (await command(server, 'KEYS', '*:{*}:*')) as string[];
}
