import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type BrokerProcess, startBroker } from '../../support/broker-process.ts';
import { tally } from '../../support/double-use.ts';
import { ask, handshake } from '../../support/e2e-raw-http.ts';
import { report } from '../../support/fault-table.ts';
import { startRedisServer } from '../../support/redis-server.ts';
import { command, cutReplicas, inSync, startSentinels, until } from '../../support/redis-topologies.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';

// The product itself, over HTTP and WebSocket, with nothing of it replaced.

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function broker(env: NodeJS.ProcessEnv): Promise<BrokerProcess> {
  const started = await startBroker({ ATTEMPT_LIMIT: '0', MINT_LIMIT: '0', LOG_LEVEL: 'info', ...env });
  cleanUps.push(started.stop);
  return started;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** Mints without `fetch`, which would cost more than the broker. */
async function mintAt({ port }: BrokerProcess, token: string, ttl = 300): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const call = request({ port, path: '/tickets', method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 201) resolve(JSON.parse(text).ticket);
        else reject(new Error(String(response.statusCode)));
      });
    });
    call.on('error', reject);
    call.end(JSON.stringify({ ttl }));
  });
}

/** Presents a ticket and hangs up. @returns the status */
async function present({ port }: BrokerProcess, ticket: string): Promise<number> {
  return (await ask(port, handshake({ target: `/ws?ticket=${ticket}` }))).status;
}

async function inParallel(workers: number, work: () => Promise<boolean>): Promise<void> {
  await Promise.all(
    Array.from({ length: workers }, async () => {
      while (await work());
    }),
  );
}

describe('the product', () => {
  test('opens nothing twice when a broker is killed between the redemption and the 101', async () => {
    const redis = await startRedisServer();
    cleanUps.push(redis.dispose);
    const proxy = await startTcpProxy(redis.port);
    cleanUps.push(proxy.close);
    const survivor = await broker({ REDIS_URL: redis.url });
    let burned = 0;
    let opened = 0;
    for (let round = 0; round < 3; round++) {
      const victim = await broker({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      await until('the victim to be ready', async () => (await fetch(`${victim.url}/readyz`)).ok);
      const token = await survivor.token();
      const tickets = await Promise.all(Array.from({ length: 30 }, () => mintAt(survivor, token)));
      const spent = async () => {
        const keys = (await command(redis, 'KEYS', 'wst:t:*')) as string[];
        const values = (await command(redis, 'MGET', ...keys)) as string[];
        return values.filter((value) => value.startsWith('U')).length;
      };
      const before = await spent();
      proxy.swallowReplies();
      const lost = tickets.map((ticket) => present(victim, ticket).catch(() => 0));
      // Those that wait for a reply which does not come are not sent, and not spent.
      await until('a redemption', async () => (await spent()) > before);
      process.kill(victim.pid, 'SIGKILL');
      expect(tally((await Promise.all(lost)).map(String))).toEqual({ 0: 30 });
      proxy.cut();
      const gone = (await spent()) - before;
      const answers = await Promise.all(tickets.map((ticket) => present(survivor, ticket)));
      expect(answers.filter((status) => status === 401)).toHaveLength(gone);
      opened += answers.filter((status) => status === 101).length;
      burned += gone;
      const again = await Promise.all(tickets.map((ticket) => present(survivor, ticket)));
      expect(tally(again.map(String))).toEqual({ 401: 30 });
    }
    const fresh = await freshTickets(survivor);
    const replayed = survivor.decisions().filter(({ reason }) => reason === 'replayed');
    report({
      fault: 'broker killed between redemption and 101 (over WebSocket)',
      doubles: { product: `${burned + opened - 90}/90` },
      refusals: { used: replayed.length },
      fresh,
    });
    expect(burned).toBeGreaterThan(0);
    expect(burned + opened).toBe(90);
    expect(replayed).toHaveLength(90 + burned);
    expect(fresh).toBe(100);
  });

  test('opens nothing twice while Sentinel fails over under load', { timeout: 300_000 }, async () => {
    const { url, primary, replica, dispose } = await startSentinels();
    cleanUps.push(dispose);
    const brokers = [await broker({ REDIS_URL: url }), await broker({ REDIS_URL: url })] as const;
    const [a, b] = brokers;
    for (const { url: at } of brokers)
      await until('a ready broker', async () => (await fetch(`${at}/readyz`)).ok);
    const token = await a.token();

    const total = Number(process.env['FAULTS_TICKETS'] ?? 20_000);
    const tickets: string[] = [];
    let minted = 0;
    await inParallel(64, async () => {
      if (minted++ >= total) return false;
      tickets.push(await mintAt(minted % 2 ? a : b, token));
      return true;
    });

    const opened = new Map<string, number>();
    const statuses: string[] = [];
    let slowest = 0;
    const use = async (at: BrokerProcess, ticket: string) => {
      const began = Date.now();
      const status = await present(at, ticket).catch(() => 0);
      slowest = Math.max(slowest, Date.now() - began);
      statuses.push(String(status));
      if (status === 101) opened.set(ticket, (opened.get(ticket) ?? 0) + 1);
      return status;
    };

    let next = 0;
    let killedAt = 0;
    let recoveredAfter = 0;
    const failOver = async () => {
      await until('a quarter of the tickets', async () => next > tickets.length / 4, 120);
      await inSync(replica, primary);
      await cutReplicas(primary);
      const cutAt = next;
      await until('some that the replica never hears of', async () => next > cutAt + total / 20, 120);
      await primary.stop('SIGKILL');
      killedAt = Date.now();
      await until(
        'the first fresh ticket to open',
        async () => (await use(a, await mintAt(a, token))) === 101,
        60,
      );
      recoveredAfter = Date.now() - killedAt;
    };
    const failedOver = failOver();
    // 64 connections to each broker: both get every ticket at the same time, and again when neither could say.
    await inParallel(64, async () => {
      const ticket = tickets[next++];
      if (ticket === undefined) return false;
      for (;;) {
        const both = await Promise.all(brokers.map((at) => use(at, ticket)));
        if (both.some((status) => status === 101 || status === 401)) return true;
        await sleep(200);
      }
    });
    await failedOver;
    const openedBefore = opened.size;
    next = 0;
    await inParallel(64, async () => {
      const ticket = tickets[next++];
      if (ticket === undefined) return false;
      await use(a, ticket);
      return true;
    });

    const doubles = [...opened.values()].filter((times) => times > 1).length;
    const refusals = tally(
      brokers
        .flatMap((at) => at.decisions().filter(({ granted, decision }) => !granted && decision === 'redeem'))
        .map(({ reason }) => String(reason)),
    );
    const fresh = await freshTickets(b);
    report({
      fault: `Sentinel fails over under load: ${tickets.length} tickets, each at 2 brokers at once, then again`,
      doubles: { product: `${doubles}/${tickets.length}` },
      refusals,
      fresh,
    });
    console.log(
      `opened once: ${openedBefore}; honest tickets refused: ${tickets.filter((ticket) => !opened.has(ticket)).length}; ` +
        `first fresh ticket ${recoveredAfter} ms after the kill; slowest answer ${slowest} ms; ` +
        `answers: ${JSON.stringify(tally(statuses))}`,
    );
    expect(doubles).toBe(0);
    expect(refusals['fenced']).toBeGreaterThan(0);
    expect(refusals['replayed']).toBeGreaterThan(0);
    expect(fresh).toBe(100);
  });

  test('answers in time and refuses no honest ticket while Redis hangs', async () => {
    const redis = await startRedisServer();
    cleanUps.push(redis.dispose);
    const at = await broker({ REDIS_URL: redis.url });
    await until('a ready broker', async () => (await fetch(`${at.url}/readyz`)).ok);
    const token = await at.token();
    const answers: string[] = [];
    let slowest = 0;
    let running = true;
    const timed = async (what: string, call: () => Promise<number | string>) => {
      const began = performance.now();
      const status = await call().catch((error: Error) => Number(error.message));
      slowest = Math.max(slowest, performance.now() - began);
      const ok = typeof status === 'string' || status === 101;
      answers.push(`${what} ${ok ? 'ok' : status}`);
      return ok ? status : undefined;
    };
    const load = inParallel(32, async () => {
      const ticket = await timed('mint', () => mintAt(at, token));
      if (typeof ticket === 'string') await timed('connect', () => present(at, ticket));
      else await sleep(50);
      return running;
    });
    await sleep(1000);
    redis.process.kill('SIGSTOP');
    await sleep(5000);
    redis.process.kill('SIGCONT');
    const resumed = performance.now();
    await until('the first fresh ticket', async () => (await present(at, await mintAt(at, token))) === 101);
    const recovered = performance.now() - resumed;
    await sleep(500);
    running = false;
    await load;
    const counts = tally(answers);
    console.log(
      `Redis stopped for 5 s under load: slowest answer ${Math.round(slowest)} ms, first fresh ticket ` +
        `${Math.round(recovered)} ms after it resumed, answers ${JSON.stringify(counts)}`,
    );
    expect(Object.keys(counts).sort()).toEqual(expect.arrayContaining(['connect ok', 'mint 503', 'mint ok']));
    expect(Object.keys(counts).filter((answer) => !/ (ok|503)$/.test(answer))).toEqual([]);
    // Two commands in a row, each of a second at most, and a noisy machine.
    expect(slowest).toBeLessThan(3500);
    expect(await freshTickets(at)).toBe(100);
  });
});

async function freshTickets(at: BrokerProcess): Promise<number> {
  const token = await at.token();
  const statuses = await Promise.all(
    Array.from({ length: 100 }, async () => present(at, await mintAt(at, token))),
  );
  return statuses.filter((status) => status === 101).length;
}
