import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as openSocket, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { mint } from '../../src/tickets/mint.ts';
import { newTicket, ticketId } from '../../src/tickets/ticket.ts';
import { grants, userRules } from '../support/acl.ts';
import { openConnectedStore, openLoggedStore } from '../support/logged-store.ts';
import { ownClock } from '../support/own-clock.ts';
import { aClaim, aRecord, aTicketId } from '../support/records.ts';
import { freePort, type RedisServer, startRedisServer } from '../support/redis-server.ts';
import {
  type ClusterTopology,
  clientOf,
  command,
  promote,
  replicate,
  type SentinelTopology,
  startCluster,
  startNode,
  startSentinels,
  until,
} from '../support/redis-topologies.ts';

const password = 'not/to@be:seen';
const login = `broker:${encodeURIComponent(password)}@`;

/** What is printed past the logger: by a library, it would be neither JSON nor free of addresses. */
let printed: string[];
beforeEach(() => {
  printed = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(inspect(args)));
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

const unavailable = { code: 'store_unavailable' };
const isUsable = (store: Store) => store.check().then(() => true);

/** The error that a call fails with. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (answer) => expect.fail(`did not fail, but answered ${inspect(answer)}`),
    (error: unknown) => error,
  );
}

/** The text of everything that may show up somewhere of an error. */
const allOf = (error: unknown) => inspect(error, { depth: 10, showHidden: true });

describe('what the self-test finds missing', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedisServer();
  });
  afterAll(() => server.dispose());

  // What other self-tests have left behind: a node that starts alone finds nothing.
  beforeEach(() => command(server, 'FLUSHALL'));

  const allow = (commands: readonly string[]) =>
    command(server, 'ACL', 'SETUSER', 'broker', ...userRules(password, commands));
  const url = (database = '') => `redis://${login}127.0.0.1:${server.port}/${database}`;

  /** Opens a store on a Redis at fault, sees it say so, has it mended, and sees it heal without being asked to. */
  async function saysAndHeals(where: string, fault: string, mend: () => Promise<unknown>): Promise<void> {
    const store = openLoggedStore(where);
    await store.logs('store unfit: ');
    const lines = store
      .log()
      .split('\n')
      .filter((line) => line.includes('store unfit'));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 'error', msg: `store unfit: ${fault}` },
    ]);
    const failure = await failureOf(store.check());
    expect(failure).toMatchObject({ ...unavailable, message: fault });
    expect(store.log() + printed.join() + allOf(failure)).not.toContain(password);

    await mend();
    await until('the store to heal', () => isUsable(store));
    expect(store.log()).toContain('store fit again');
    const { ticket_id } = await mint({ store, randomBytes }, aRecord(), 30);
    expect(await store.redeem(ticket_id, aClaim())).toMatchObject({ outcome: 'redeemed' });
    await store.close();
  }

  test.each(['+del', '+xread', '+zrem', '+scard'])(
    'leaves nothing behind for long, without %s',
    async (grant) => {
      await allow(grants.always.filter((other) => other !== grant));
      const store = openLoggedStore(url());
      await store.logs('store unfit: ');
      const keys = (await command(server, 'KEYS', '*self-test*')) as string[];
      const lifetimes = await Promise.all(keys.map((key) => command(server, 'PTTL', key)));
      expect(lifetimes.filter((left) => left === -1)).toEqual([]);
      await store.close();
    },
  );

  const scriptsRefused =
    'The Redis user may not run our scripts or a command in them: grant what docs/guarantees.md lists.';
  // A connection's name is a courtesy to the operator: it works without.
  const needed = grants.always.filter((grant) => grant !== '+client|setname');

  test.each(
    needed.map((grant) => ({
      grant,
      fault: grant === '+info' ? 'The Redis user may not run INFO: grant it +info.' : scriptsRefused,
    })),
  )('a user without $grant', async ({ grant, fault }) => {
    await allow(grants.always.filter((other) => other !== grant));
    await saysAndHeals(url(), fault, () => allow(grants.always));
  });

  test('a user from whom +info is taken while all goes well', async () => {
    await allow(grants.always);
    const store = openLoggedStore(url());
    await until('the store can be used', () => isUsable(store));
    await command(server, 'ACL', 'SETUSER', 'broker', '-info');
    await store.logs('store unfit: The Redis user may not run INFO: grant it +info.');
    await allow(grants.always);
    await until('the store to heal', () => isUsable(store));
    await store.close();
  });

  test('a user from whom +xread is taken while all goes well is tested once, not all the time', async () => {
    await allow(grants.always);
    const store = openLoggedStore(url());
    await until('the store can be used', () => isUsable(store));
    await command(server, 'ACL', 'SETUSER', 'broker', '-xread');
    await store.logs(`store unfit: ${scriptsRefused}`);
    const tests = async () =>
      Number(/cmdstat_xadd:calls=(\d+)/.exec(String(await command(server, 'INFO', 'commandstats')))?.[1]);
    const before = await tests();
    await sleep(1000);
    expect(await tests()).toBe(before);
    await allow(grants.always);
    await until('the store to heal', () => isUsable(store));
    await store.close();
  });

  test('a user who may not touch our keys', async () => {
    await allow([...grants.always, 'resetkeys', '~other:*']);
    await saysAndHeals(url(), scriptsRefused, () => allow(grants.always));
  });

  test('a user who may not select the database: no other one is used in its place', async () => {
    await allow(grants.always);
    const store = openLoggedStore(url('3'));
    await store.logs('store disconnected');
    await triedAgain();
    expect(reasonsIn(store)).toEqual(['replied NOPERM']);
    await expect(store.check()).rejects.toMatchObject(unavailable);
    expect(await command(server, 'DBSIZE')).toBe(0);

    await allow([...grants.always, ...grants.database]);
    await until('the store to heal', () => isUsable(store));
    await store.close();
  });

  test.each([
    'allkeys-lru',
    'allkeys-lfu',
    'allkeys-random',
    'volatile-lru',
    'volatile-lfu',
    'volatile-random',
    'volatile-ttl',
  ])('a Redis that may evict keys by %s', async (policy) => {
    await allow(grants.always);
    const set = (value: string) => command(server, 'CONFIG', 'SET', 'maxmemory-policy', value);
    await set(policy);
    await saysAndHeals(
      url(),
      `Redis may evict keys (maxmemory-policy ${policy}): set noeviction, or tickets and counters may vanish early.`,
      () => set('noeviction'),
    );
  });

  test('what a new tenure has brought is found by a node that mints nothing and stays connected', async () => {
    const [primary, replica] = [await startNode(), await startNode()];
    const store = openLoggedStore(primary.url);
    try {
      await until('the store can be used', () => isUsable(store));
      await command(primary, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
      // The first replica begins a new one.
      await replicate(replica, primary);
      await store.logs('store unfit: Redis may evict keys (maxmemory-policy allkeys-lru)');
      await expect(store.check()).rejects.toMatchObject(unavailable);
      expect(store.log().split('store connected')).toHaveLength(2);
    } finally {
      await store.close();
      await Promise.all([primary.dispose(), replica.dispose()]);
    }
  });

  test('a read-only replica', async () => {
    const [primary, replica] = [await startNode(), await startNode()];
    try {
      await replicate(replica, primary);
      await saysAndHeals(
        replica.url,
        'This Redis is a read-only replica: give the address of its primary.',
        () => promote(replica),
      );
    } finally {
      await Promise.all([primary.dispose(), replica.dispose()]);
    }
  });

  test('prints nothing past its log, where INFO is refused', async () => {
    await allow(grants.always.filter((grant) => grant !== '+info'));
    const store = openLoggedStore(url());
    await store.logs('store unfit: ');
    await store.close();
    expect(printed).toEqual([]);
  });

  test('a wrong password is a reason in the log, in which it does not show', async () => {
    await allow(grants.always);
    const store = openLoggedStore(
      `redis://broker:wrong-${encodeURIComponent(password)}@127.0.0.1:${server.port}`,
    );
    await store.logs('store disconnected');
    expect(store.log()).toContain('"reason":"replied WRONGPASS"');
    const failures = await Promise.all([
      failureOf(store.check()),
      failureOf(store.redeem(aTicketId(), aClaim())),
    ]);
    for (const failure of failures) expect(failure).toMatchObject({ ...unavailable, status: 503 });
    expect(store.log() + printed.join() + failures.map(allOf).join()).not.toContain(password);
    expect(printed).toEqual([]);

    await command(server, 'ACL', 'SETUSER', 'broker', `>wrong-${password}`);
    await until('the store to heal', () => isUsable(store));
    await store.close();
  });

  test('a password that is changed under a running node: the log and the check say so, once and not at every attempt', async () => {
    await allow(grants.always);
    const store = await openConnectedStore(url());
    await command(server, 'ACL', 'SETUSER', 'broker', 'resetpass', '>another');
    await command(server, 'CLIENT', 'KILL', 'USER', 'broker');
    await store.logs('"reason":"replied WRONGPASS"');
    await triedAgain();
    const [hungUp, ...others] = reasonsIn(store);
    // What was on its way when Redis hung up may find out first.
    expect([undefined, 'EPIPE', 'ECONNRESET']).toContain(hungUp);
    expect(others).toEqual(['replied WRONGPASS']);
    expect(await failureOf(store.check())).toMatchObject({
      ...unavailable,
      message: 'Redis refuses our connection (WRONGPASS).',
    });

    await allow(grants.always);
    await until('the store to heal', () => isUsable(store));
    expect(store.log() + printed.join()).not.toContain(password);
    await server.stop();
    await store.logs('"reason":"ECONNREFUSED"');
    expect(await failureOf(store.check())).toMatchObject({
      ...unavailable,
      message: 'The store cannot be reached: try again.',
    });
    await server.restart();
    await store.close();
  });

  /** Several attempts later. */
  async function triedAgain(): Promise<void> {
    const connections = async () =>
      Number(/total_connections_received:(\d+)/.exec(String(await command(server, 'INFO', 'stats')))?.[1]);
    const before = await connections();
    let asked = 0;
    // Each question is a connection, too.
    await until('more attempts', async () => (await connections()) - before > ++asked + 6);
  }
});

/** Why the store is said to be gone, line by line. */
function reasonsIn(store: { log(): string }): (string | undefined)[] {
  const lines = store.log().split('\n').filter(Boolean);
  return lines
    .map((line) => JSON.parse(line) as { msg: string; reason?: string })
    .filter(({ msg }) => msg === 'store disconnected')
    .map(({ reason }) => reason);
}

describe('why there is no connection is in the log', () => {
  let server: RedisServer;
  let guarded: RedisServer;
  let other: Server;
  let nobody: number;
  beforeAll(async () => {
    [server, guarded, nobody] = await Promise.all([
      startRedisServer(),
      startRedisServer(['--requirepass', password]),
      freePort(),
    ]);
    other = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1');
    await once(other, 'listening');
  });
  afterAll(async () => {
    other?.close();
    await Promise.all([server?.dispose(), guarded?.dispose()]);
  });

  const cases: [what: string, url: () => string, reason: string][] = [
    [
      'a data node for a sentinel',
      () => `redis+sentinel://127.0.0.1:${server.port}/main`,
      'sentinels: not a sentinel',
    ],
    [
      'a sentinel’s password',
      () => `redis+sentinel://127.0.0.1:${guarded.port}/main`,
      'sentinels: replied NOAUTH',
    ],
    ['no sentinel', () => `redis+sentinel://127.0.0.1:${nobody}/main`, 'sentinels: cannot be reached'],
    ['no cluster', () => `redis+cluster://127.0.0.1:${server.port}`, 'cluster: not a cluster'],
    ['a cluster’s password', () => `redis+cluster://127.0.0.1:${guarded.port}`, 'cluster: replied NOAUTH'],
    ['nobody', () => `redis://127.0.0.1:${nobody}`, 'ECONNREFUSED'],
    [
      'no Redis',
      () => `redis://127.0.0.1:${(other.address() as AddressInfo).port}`,
      'answered as no Redis does',
    ],
    ['a Redis without TLS', () => `rediss://127.0.0.1:${server.port}`, 'ETIMEDOUT (with TLS)'],
  ];
  test.each(cases)('%s', async (_what, url, reason) => {
    const store = openLoggedStore(url());
    await store.logs('store disconnected');
    expect(reasonsIn(store)).toEqual([reason]);
    await store.close();
    expect(store.log() + printed.join()).not.toMatch(/127\.0\.0\.1|not\/to/);
  });
});

describe('what the self-test finds missing in a cluster', () => {
  let topology: ClusterTopology;
  beforeAll(async () => {
    topology = await startCluster();
  });
  afterAll(() => topology?.dispose());

  const allow = async (commands: readonly string[]) => {
    for (const server of [...topology.primaries, ...topology.replicas]) {
      await command(server, 'ACL', 'SETUSER', 'broker', ...userRules(password, commands));
    }
  };
  const all = [...grants.always, ...grants.cluster];
  const url = () => topology.url.replace('://', `://${login}`);

  test.each(['+cluster|slots', '+cluster|info', '+asking', '+info', '+eval', '+getdel'])(
    'a user without %s',
    async (grant) => {
      await allow(all.filter((other) => other !== grant));
      const store = openLoggedStore(url());
      await until('a reason in the log', async () => /store unfit|store disconnected/.test(store.log()));
      await expect(store.check()).rejects.toMatchObject(unavailable);

      await allow(all);
      await until('the store to heal', () => isUsable(store));
      await store.close();
    },
  );

  test('one primary that may evict keys', async () => {
    await allow(all);
    const [, , third] = topology.primaries as [RedisServer, RedisServer, RedisServer];
    await command(third, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const store = openLoggedStore(url());
    await store.logs('store unfit: Redis may evict keys (maxmemory-policy allkeys-lru)');
    await command(third, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await until('the store to heal', () => isUsable(store));
    await store.close();
  });
});

describe('a deadline for every call', () => {
  const commandTimeout = 500;

  const calls: Record<string, (store: Store) => Promise<unknown>> = {
    put: (store) => store.put(aTicketId(), aRecord(), 30_000),
    redeem: (store) => store.redeem(aTicketId(), aClaim()),
    revoke: (store) => store.revoke(aTicketId(), 'holder'),
    count: (store) => store.count('deadline', 1000),
    counted: (store) => store.counted('deadline'),
    roomsOf: (store) => store.roomsOf('alice', ['lobby']),
    check: (store) => store.check(),
  };

  /** All calls at once, round after round while the store tries to reconnect, each against the clock. */
  async function allFailInTime(store: Store): Promise<void> {
    using clock = ownClock();
    for (let round = 0; round < 6; round++) {
      await sleep(150);
      await Promise.all(
        Object.entries(calls).map(async ([name, call]) => {
          const from = clock.now();
          const failure = await failureOf(call(store));
          const took = clock.now() - from;
          expect(failure, name).toMatchObject(unavailable);
          expect(took, `${name}, round ${round}`).toBeLessThan(commandTimeout + 500);
        }),
      );
    }
  }

  async function failsWhileStopped(url: string, servers: RedisServer[]): Promise<void> {
    const store = await openConnectedStore(url, { commandTimeout });
    await until('the store to be usable', () => isUsable(store));
    for (const { process } of servers) process.kill('SIGSTOP');
    try {
      await allFailInTime(store);
    } finally {
      for (const { process } of servers) process.kill('SIGCONT');
    }
    await until('the store to heal', () => isUsable(store), 15);
    await mint({ store, randomBytes }, aRecord(), 30);
    await store.close();
  }

  test('on a server that hangs', async () => {
    const server = await startRedisServer();
    try {
      await failsWhileStopped(server.url, [server]);
    } finally {
      await server.dispose();
    }
  });

  test('on servers and sentinels that all hang, and nothing is printed past the log', async () => {
    let topology: SentinelTopology | undefined;
    try {
      topology = await startSentinels();
      const { url, primary, replica, sentinels } = topology;
      await failsWhileStopped(url, [primary, replica, ...sentinels]);
      expect(printed).toEqual([]);
    } finally {
      await topology?.dispose();
    }
  }, 60_000);

  test('on a cluster that hangs', async () => {
    let topology: ClusterTopology | undefined;
    try {
      topology = await startCluster();
      await failsWhileStopped(topology.url, [...topology.primaries, ...topology.replicas]);
    } finally {
      await topology?.dispose();
    }
  }, 60_000);

  test('a sentinel that is gone is no news for anything but the log', async () => {
    let topology: SentinelTopology | undefined;
    try {
      topology = await startSentinels();
      const store = await openConnectedStore(topology.url, { commandTimeout });
      const [gone] = topology.sentinels as [RedisServer];
      await gone.stop('SIGKILL');
      // Long enough for several attempts to come back to it.
      for (let round = 0; round < 20; round++) {
        await sleep(50);
        await store.check();
      }
      await store.close();
      expect(printed).toEqual([]);
    } finally {
      await topology?.dispose();
    }
  }, 60_000);

  test.each(['redis://HOST', 'rediss://HOST', 'redis+sentinel://HOST/tickets', 'redis+cluster://HOST'])(
    'on something that accepts connections and never answers: %s',
    async (form) => {
      const redis = await startRedisServer();
      const proxy = await startProxy(redis.port);
      proxy.mode = 'silent';
      const store = openLoggedStore(form.replace('HOST', `127.0.0.1:${proxy.port}`), { commandTimeout });
      try {
        await allFailInTime(store);
        if (form === 'redis://HOST') {
          proxy.mode = 'forward';
          await until('the store to heal', () => isUsable(store), 15);
        }
      } finally {
        await store.close();
        await proxy.close();
        await redis.dispose();
      }
    },
    60_000,
  );
});

describe('a reply that is lost', () => {
  let redis: RedisServer;
  let proxy: Proxy;
  let store: Store;
  beforeAll(async () => {
    redis = await startRedisServer();
  });
  beforeEach(async () => {
    proxy = await startProxy(redis.port);
    store = await openConnectedStore(`redis://127.0.0.1:${proxy.port}`, { commandTimeout: 500 });
    await until('the store to be usable', () => isUsable(store));
  });
  afterEach(async () => {
    await store.close();
    await proxy.close();
  });
  afterAll(() => redis.dispose());

  const mended = async () => {
    proxy.mode = 'forward';
    await until('the store to heal', () => isUsable(store));
  };
  /** How often each ticket's key went to Redis, over all connections. */
  const sent = (id: string) => proxy.requests().split(`t:{${id.charAt(0)}}:${id}`).length - 1;

  test.each(['cut', 'swallow'] as const)(
    'burns the ticket, and is never asked for again (%s)',
    async (mode) => {
      const { ticket_id } = await mint({ store, randomBytes }, aRecord(), 30);
      const before = sent(ticket_id);
      proxy.mode = mode;
      const claim = aClaim();
      await expect(store.redeem(ticket_id, claim)).rejects.toMatchObject(unavailable);
      await mended();
      expect(sent(ticket_id) - before).toBe(1);
      // Redis did it, and knows for whom; nobody is let in twice.
      expect(await store.redeem(ticket_id, aClaim())).toEqual({
        outcome: 'used',
        sessionId: claim.sessionId,
      });
    },
  );

  test.each(['cut', 'swallow'] as const)(
    'fails the mint, and its nonce is never sent again (%s)',
    async (mode) => {
      const drawn: string[] = [];
      const drawing = (size: number) => {
        const bytes = randomBytes(size);
        drawn.push(ticketId(newTicket(() => bytes)));
        return bytes;
      };
      proxy.mode = mode;
      for (let round = 0; round < 3; round++) {
        await expect(mint({ store, randomBytes: drawing }, aRecord(), 30)).rejects.toMatchObject(unavailable);
      }
      await mended();
      for (let round = 0; round < 10; round++) await mint({ store, randomBytes: drawing }, aRecord(), 30);
      expect(drawn.length).toBeGreaterThanOrEqual(13);
      const counts = drawn.map(sent);
      expect(Math.max(...counts)).toBe(1);
      // The first was on its way when its reply was lost; the others found no connection.
      expect(counts[0]).toBe(1);
    },
  );

  test('after a reconnect, nothing is sent that was issued before', async () => {
    proxy.mode = 'hold';
    const ids = Array.from({ length: 20 }, aTicketId);
    const issued = ids.flatMap((id) => [
      store.put(id, aRecord(), 30_000),
      store.redeem(id, aClaim()),
      store.revoke(id, 'holder'),
    ]);
    const inFlight = Promise.allSettled(issued);
    await until('the commands to be under way', async () => sent(ids.at(-1) ?? '') === 3);
    proxy.cut();
    // Those that come while there is no connection are not kept for later either.
    const late = aTicketId();
    await expect(store.put(late, aRecord(), 30_000)).rejects.toMatchObject(unavailable);
    await mended();
    await sleep(500);

    expect((await inFlight).every(({ status }) => status === 'rejected')).toBe(true);
    expect(ids.map(sent)).toEqual(ids.map(() => 3));
    expect(sent(late)).toBe(0);
  });
});

test('a cluster that hung for a while executes nothing twice', async () => {
  let topology: ClusterTopology | undefined;
  const monitors: Awaited<ReturnType<ReturnType<typeof clientOf>['monitor']>>[] = [];
  try {
    topology = await startCluster();
    const { primaries } = topology;
    const executed: string[] = [];
    for (const primary of primaries) {
      const client = clientOf(primary);
      const monitor = await client.monitor();
      client.disconnect();
      monitor.on('monitor', (_time: string, args: string[], source: string) => {
        if (source !== 'lua') executed.push(args.join(' '));
      });
      monitors.push(monitor);
    }
    const store = await openConnectedStore(topology.url, { commandTimeout: 500 });
    await until('the store to be usable', () => isUsable(store));

    const ids = Array.from({ length: 40 }, aTicketId);
    for (const { process } of primaries) process.kill('SIGSTOP');
    try {
      await Promise.allSettled(
        ids.map((id, index) => (index % 2 ? store.put(id, aRecord(), 30_000) : store.redeem(id, aClaim()))),
      );
    } finally {
      for (const { process } of primaries) process.kill('SIGCONT');
    }
    await until('the store to heal', () => isUsable(store));
    await sleep(1000);
    const times = ids.map((id) => executed.filter((args) => args.includes(id)).length);
    expect(Math.max(...times)).toBeLessThanOrEqual(1);
    expect(Math.max(...times)).toBe(1);
    await store.close();
  } finally {
    for (const monitor of monitors) monitor.disconnect();
    await topology?.dispose();
  }
}, 60_000);

/**
 * - `forward`: as if it were not there.
 * - `silent`: accepts connections and says nothing on them.
 * - `hold`: keeps what the client sends from now on.
 * - `swallow`: what the client sends arrives, and the replies are lost; `cut`: and then the connection too.
 */
type ProxyMode = 'forward' | 'silent' | 'hold' | 'swallow' | 'cut';

interface Proxy {
  port: number;
  mode: ProxyMode;
  /** All that clients have sent so far. */
  requests(): string;
  /** Ends all connections. */
  cut(): void;
  close(): Promise<void>;
}

/** A network between the store and its Redis that fails in a chosen way. */
async function startProxy(redisPort: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let requests = '';
  const server: Server = createServer((client) => {
    const redis = openSocket(redisPort, '127.0.0.1');
    const end = () => {
      for (const socket of [client, redis]) {
        sockets.delete(socket.destroy());
      }
    };
    for (const socket of [client, redis]) sockets.add(socket.on('error', end).on('close', end));
    client.on('data', (data) => {
      requests += data.toString('latin1');
      if (proxy.mode !== 'silent' && proxy.mode !== 'hold') redis.write(data);
    });
    redis.on('data', (data) => {
      if (proxy.mode === 'forward') client.write(data);
      if (proxy.mode === 'cut') end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: Proxy = {
    port: (server.address() as { port: number }).port,
    mode: 'forward',
    requests: () => requests,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      proxy.cut();
      await closed;
    },
  };
  return proxy;
}
