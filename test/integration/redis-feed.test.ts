import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, inject, test, vi } from 'vitest';
import type { Feed } from '../../src/revocations/feed.ts';
import { connect } from '../../src/store/connection.ts';
import { type RedisFeedOptions, redisFeed } from '../../src/store/redis-feed.ts';
import { aRevocation, feedContract } from '../support/feed-contract.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { command, cutReplicas, inSync, promote, replicate, startNode } from '../support/redis-topologies.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const connectionsTo = (url: string) => ({
  follower: connect({ url, commandTimeout: 2000 }),
  publisher: connect({ url, commandTimeout: 2000 }),
  tickets: connect({ url, commandTimeout: 1000 }),
});

function feedAt(
  url: string,
  prefix: string,
  connections = connectionsTo(url),
  options: Partial<RedisFeedOptions> = {},
) {
  const feed = redisFeed({
    ...connections,
    prefix,
    now: () => performance.now(),
    retention: 60_000,
    log: pino({ level: 'silent' }),
    ...options,
  });
  const { close } = feed;
  return Object.assign(feed, {
    async close() {
      await Promise.all([close(), connections.tickets.close()]);
    },
  });
}

const xaddAll = `for _, value in ipairs(ARGV) do redis.call('XADD', KEYS[1], '*', 'r', value) end`;

const has = (feed: Feed, rid: string) =>
  feed.since(undefined).some(({ revocation }) => revocation.rid === rid);

const prefix = `test-${randomUUID()}:`;
feedContract('Redis', async () => feedAt(inject('redisUrl'), prefix), true);

describe('Redis feed', () => {
  const ready = (feed: { current: boolean }) =>
    expect.poll(() => feed.current, { timeout: 15_000 }).toBe(true);

  test('is not current while Redis is away, and tells what it missed on return', async () => {
    const server = await startRedisServer();
    const [here, there] = [feedAt(server.url, 'wst:'), feedAt(server.url, 'wst:')];
    await Promise.all([ready(here), ready(there)]);
    server.process.kill('SIGSTOP');
    await expect.poll(() => here.current, { timeout: 10_000 }).toBe(false);
    server.process.kill('SIGCONT');
    await Promise.all([ready(here), ready(there)]);
    const revocation = aRevocation();
    await here.publish(revocation);
    await expect.poll(() => has(there, revocation.rid)).toBe(true);
    await Promise.all([here.close(), there.close()]);
    await server.dispose();
  });

  test('is current for three seconds after its last read to the end began, however slow the look that followed', async () => {
    const server = await startRedisServer();
    const connections = connectionsTo(server.url);
    const { follower } = connections;
    let clock = 0;
    let asked = 0;
    let hung = false;
    const { promise: reads, resolve: begins } = Promise.withResolvers<void>();
    const slow: typeof follower = {
      ...follower,
      run(...call) {
        if (hung) clock = asked + 1900;
        return follower.run(...call);
      },
      async readStream(...call) {
        if (hung) {
          begins();
          return new Promise(() => {});
        }
        asked = clock;
        const entries = await follower.readStream(...call);
        // As long as it waits for entries.
        clock += call[2];
        return entries;
      },
    };
    const feed = feedAt(server.url, 'wst:', { ...connections, follower: slow }, { now: () => clock });
    await expect.poll(() => clock).toBeGreaterThan(0);
    hung = true;
    await reads;
    clock = asked + 2900;
    expect(feed.current).toBe(true);
    clock = asked + 3100;
    expect(feed.current).toBe(false);
    await feed.close();
    await server.dispose();
  });

  test('is not current while it reads on, and there is more than one read brings', async () => {
    const server = await startRedisServer();
    const connections = connectionsTo(server.url);
    const { follower } = connections;
    const seen: string[] = [];
    let held: Promise<void> | undefined;
    const watched: typeof follower = {
      ...follower,
      async readStream(...call) {
        if (held !== undefined) seen.push(`${feed.since(undefined).length} ${feed.current}`);
        const entries = await follower.readStream(...call);
        await held;
        return entries;
      },
    };
    const feed = feedAt(server.url, 'wst:', { ...connections, follower: watched }, { now: () => 0 });
    await ready(feed);
    const { promise, resolve: goOn } = Promise.withResolvers<void>();
    held = promise;
    const values = Array.from({ length: 2500 }, () => JSON.stringify(aRevocation()));
    await command(server, 'EVAL', xaddAll, 1, 'wst:revocations', ...values);
    goOn();
    await expect.poll(() => feed.since(undefined).length).toBe(2500);
    await ready(feed);
    const [first = '', ...following] = seen.slice(seen.findIndex((look) => look.startsWith('1')));
    expect([Number.parseInt(first, 10) < 2500, first.endsWith(' false')]).toEqual([true, true]);
    for (const look of following) expect(look.endsWith(' true')).toBe(look.startsWith('2500'));
    await feed.close();
    await server.dispose();
  });

  test('says what cannot be read, once, and lets nobody in meanwhile', async () => {
    const server = await startRedisServer();
    const log = { info() {}, warn() {}, error: vi.fn() };
    const feed = feedAt(server.url, 'wst:', connectionsTo(server.url), { log });
    await ready(feed);
    await command(server, 'XADD', 'wst:revocations', '*', 'r', 'no revocation');
    await expect.poll(() => feed.current, { timeout: 5000 }).toBe(false);
    const told = [
      { reason: 'SyntaxError', after: expect.stringMatching(/^\d+-\d+$/) },
      'the feed cannot be read: nobody is admitted until it can',
    ];
    await expect.poll(() => log.error.mock.calls.length).toBe(1);
    await setTimeout(500);
    expect(log.error.mock.calls).toEqual([told]);
    expect(feed.current).toBe(false);
    // Once more for each time that it begins.
    await command(server, 'DEL', 'wst:revocations');
    await ready(feed);
    await command(server, 'XADD', 'wst:revocations', '*', 'r', 'no revocation');
    await expect.poll(() => log.error.mock.calls).toEqual([told, told]);
    await feed.close();
    await server.dispose();
  });

  test('keeps what may matter to others, whose logins last longer', async () => {
    const server = await startRedisServer();
    const briefly = feedAt(server.url, 'wst:');
    await ready(briefly);
    const longAgo = Date.now() - 300 * 86_400_000;
    const [old, fresh] = [aRevocation(), aRevocation()];
    await command(server, 'XADD', 'wst:revocations', `${longAgo}-0`, 'r', JSON.stringify(old));
    // Trimmed are whole nodes of the stream, of a hundred entries: there have to be more than one.
    for (let n = 0; n < 200; n++) {
      await command(server, 'XADD', 'wst:revocations', `${longAgo + 1 + n}-0`, 'r', JSON.stringify(old));
    }
    await briefly.publish(fresh);
    expect(await command(server, 'XLEN', 'wst:revocations')).toBe(202);
    const knowing = feedAt(server.url, 'wst:', connectionsTo(server.url), { dropAfter: 86_400_000 });
    await ready(knowing);
    await knowing.publish(aRevocation());
    expect(await command(server, 'XLEN', 'wst:revocations')).toBeLessThan(200);
    await Promise.all([briefly.close(), knowing.close()]);
    await server.dispose();
  });

  test('puts back what a new primary has not heard of, and is not current before', async () => {
    const [primary, replica] = [await startNode(), await startNode()];
    await replicate(replica, primary);
    const proxy = await startTcpProxy(primary.port);
    const feed = feedAt(`redis://127.0.0.1:${proxy.port}`, 'wst:');
    await ready(feed);
    const kept = aRevocation();
    await feed.publish(kept);
    await inSync(replica, primary);
    await cutReplicas(primary);
    // Once it is known that no replica is connected, none is waited for.
    await expect
      .poll(() => feed.publish(aRevocation()).then(Boolean, () => false), { timeout: 10_000 })
      .toBe(true);
    const lost = Array.from({ length: 20 }, () => aRevocation());
    await Promise.all(lost.map((revocation) => feed.publish(revocation)));
    const known = feed.since(undefined).length;
    await promote(replica);
    await proxy.move(replica.port);
    const ids = async () =>
      (await command(replica, 'XRANGE', 'wst:revocations', '-', '+')) as [string, [string, string]][];
    await expect.poll(async () => (await ids()).length, { timeout: 10_000 }).toBe(known);

    const newcomer = feedAt(replica.url, 'wst:');
    await ready(newcomer);
    for (const { rid } of [kept, ...lost]) expect(has(newcomer, rid)).toBe(true);
    await Promise.all([feed.close(), newcomer.close(), proxy.close()]);
    await Promise.all([primary.dispose(), replica.dispose()]);
  });

  test.each([
    { moved: ['tickets'], left: 'the follower and the publisher' },
    { moved: ['tickets', 'follower'], left: 'the publisher' },
    { moved: ['follower', 'publisher'], left: 'the tickets' },
  ] as const)(
    'is not current while $left are on the primary of before, and follows the others',
    async ({ moved }) => {
      const [old, next] = [await startNode(), await startNode()];
      await replicate(next, old);
      const proxy = await startTcpProxy(old.port);
      const url = `redis://127.0.0.1:${proxy.port}`;
      const connections = connectionsTo(url);
      const feed = feedAt(url, 'wst:', connections);
      await ready(feed);
      // The address moves to another primary while the old one lives, and so do the connections that there are.
      await cutReplicas(old);
      await promote(next);
      proxy.pointTo(next.port);
      const elsewhere = feedAt(next.url, 'wst:');
      await ready(elsewhere);
      await setTimeout(1500);
      await ready(feed);
      for (const name of moved) connections[name].relocate();
      await expect.poll(() => feed.current, { interval: 10 }).toBe(false);
      await ready(feed);
      await expect
        .poll(() => feed.publish(aRevocation()).then(Boolean, () => false), { timeout: 10_000 })
        .toBe(true);
      const revocation = aRevocation();
      await elsewhere.publish(revocation);
      await expect.poll(() => has(feed, revocation.rid)).toBe(true);
      await Promise.all([feed.close(), elsewhere.close(), proxy.close()]);
      await Promise.all([old.dispose(), next.dispose()]);
    },
  );

  test('does not wait for the tickets, whose connection hangs', async () => {
    const server = await startRedisServer();
    const proxy = await startTcpProxy(server.port);
    const tickets = connect({ url: `redis://127.0.0.1:${proxy.port}`, commandTimeout: 30_000 });
    const feed = feedAt(server.url, 'wst:', { ...connectionsTo(server.url), tickets });
    const elsewhere = feedAt(server.url, 'wst:');
    await Promise.all([ready(feed), ready(elsewhere)]);
    proxy.goSilent();
    // Longer than it takes without a sign of life; who waited for the tickets would wait for half a minute.
    await setTimeout(4000);
    await expect.poll(() => feed.current, { timeout: 5000 }).toBe(true);
    const revocation = aRevocation();
    await elsewhere.publish(revocation);
    await expect.poll(() => has(feed, revocation.rid)).toBe(true);
    await Promise.all([feed.close(), elsewhere.close(), proxy.close()]);
    await server.dispose();
  });

  test('of several nodes that put back the same at once, each revocation is put back once', async () => {
    const [before, after] = [await startRedisServer(), await startRedisServer()];
    const proxy = await startTcpProxy(before.port);
    const feeds = Array.from({ length: 3 }, () => feedAt(`redis://127.0.0.1:${proxy.port}`, 'wst:'));
    await Promise.all(feeds.map(ready));
    const revocations = Array.from({ length: 1700 }, () => aRevocation());
    await Promise.all(revocations.map((revocation, index) => feeds[index % 3]?.publish(revocation)));
    const rids = revocations.map(({ rid }) => rid).sort();
    for (const feed of feeds)
      await expect.poll(() => feed.since(undefined).length, { timeout: 10_000 }).toBe(rids.length);

    const told = feeds.map((feed) => {
      const seen: string[] = [];
      feed.follow(({ revocation }) => seen.push(revocation.rid));
      return seen;
    });
    // Some of them are there already, and one is new.
    const there = [...revocations.slice(300, 400), aRevocation()];
    for (const revocation of there)
      await command(after, 'XADD', 'wst:revocations', '*', 'r', JSON.stringify(revocation));
    await proxy.move(after.port);
    await expect.poll(() => feeds.some((feed) => feed.current), { timeout: 10_000 }).toBe(false);
    await Promise.all(feeds.map(ready));
    const stream = (await command(after, 'XRANGE', 'wst:revocations', '-', '+')) as [
      string,
      [string, string],
    ][];
    const kept = stream.map(([, [, value]]) => String(JSON.parse(value).rid));
    const added = there.at(-1)?.rid ?? '';
    expect(kept.sort()).toEqual([...rids, added].sort());
    expect(told).toEqual([[added], [added], [added]]);
    await Promise.all([...feeds, proxy].map((open) => open.close()));
    await Promise.all([before.dispose(), after.dispose()]);
  });

  test('does not keep a large stream from others while it puts back what that lacks', async () => {
    const [before, after] = [await startRedisServer(), await startRedisServer()];
    const proxy = await startTcpProxy(before.port);
    const feed = feedAt(`redis://127.0.0.1:${proxy.port}`, 'wst:');
    await ready(feed);
    const lacked = aRevocation();
    await feed.publish(lacked);
    const filling = `for i = 1, 10000 do redis.call('XADD', KEYS[1], '*', 'r', (ARGV[1]:gsub('RID', ARGV[2] .. '-' .. i))) end`;
    const others = JSON.stringify({ ...aRevocation(), rid: 'RID' });
    for (let part = 0; part < 15; part++) {
      await command(after, 'EVAL', filling, '1', 'wst:revocations', others, `other-${part}`);
    }
    await command(after, 'CONFIG', 'SET', 'slowlog-log-slower-than', '200000');
    await command(after, 'SLOWLOG', 'RESET');
    await proxy.move(after.port);
    await expect.poll(() => feed.since(undefined).length, { timeout: 40_000 }).toBe(150_001);
    await ready(feed);
    expect(await command(after, 'XLEN', 'wst:revocations')).toBe(150_001);
    expect(await command(after, 'SLOWLOG', 'GET')).toEqual([]);
    await Promise.all([feed.close(), proxy.close()]);
    await Promise.all([before.dispose(), after.dispose()]);
  }, 60_000);

  test('acknowledges only what a connected replica has, too', async () => {
    const [primary, replica] = [await startNode(), await startNode()];
    await replicate(replica, primary);
    const feed = feedAt(primary.url, 'wst:');
    await ready(feed);
    await feed.publish(aRevocation());
    replica.process.kill('SIGSTOP');
    const revocation = aRevocation();
    await expect(feed.publish(revocation)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(has(feed, revocation.rid)).toBe(true);
    replica.process.kill('SIGCONT');
    await expect
      .poll(() => feed.publish(revocation).then(Boolean, () => false), { timeout: 10_000 })
      .toBe(true);
    await feed.close();
    await Promise.all([primary.dispose(), replica.dispose()]);
  });
});
