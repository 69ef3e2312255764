import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { newTicket, ticketId } from '../../src/tickets/ticket.ts';
import { type BrokerProcess, password, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';

/** Milliseconds. Two commands of a second each, and what a busy machine adds. */
const deadline = 4000;

let redis: RedisServer;
let broker: BrokerProcess;
let token: string;

beforeAll(async () => {
  redis = await startRedisServer();
  const limits = { LOGIN_LIMIT: '1000', ATTEMPT_LIMIT: '1000' };
  const env = { ...sharedStore(redis.url), ...limits, DRAIN_TIMEOUT: '5' };
  // A token outlives the process that issued it: it is valid on every node of the deployment.
  const first = await startBroker(env);
  token = await first.token();
  await first.stop();
  await redis.stop();
  broker = await startBroker(env);
});
afterAll(async () => {
  // A stopped process ends on nothing else.
  redis?.process.kill('SIGCONT');
  await broker?.stop();
  await redis?.dispose();
});

interface Answered {
  status: number;
  error: unknown;
  retryAfter: number;
  ms: number;
}

const call = async (path: string, body?: object): Promise<Answered> => {
  const start = performance.now();
  const response = await fetch(`${broker.url}${path}`, {
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    signal: AbortSignal.timeout(20_000),
  });
  const { error } = (await response.json()) as { error?: string };
  return {
    status: response.status,
    error,
    retryAfter: Number(response.headers.get('retry-after')),
    ms: performance.now() - start,
  };
};

const upgrade = async (ticket: string): Promise<Answered> => {
  const start = performance.now();
  const { status, headers, body } = await ask(broker.port, handshake({ target: `/ws?ticket=${ticket}` }));
  return {
    status,
    error: body?.error,
    retryAfter: Number(headers['retry-after']),
    ms: performance.now() - start,
  };
};

const calls = {
  readyz: () => call('/readyz'),
  login: () => call('/api/login', { username: 'alice', password }),
  mint: () => call('/tickets', {}),
  revocation: () => call('/tickets/revoke', { ticket: `wst_${'A'.repeat(43)}` }),
  upgrade: () => upgrade(`wst_${'A'.repeat(43)}`),
};

const mint = async () => {
  const response = await fetch(`${broker.url}/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  return (await response.json()) as { ticket: string };
};

const healed = () => until(async () => (await call('/readyz')).status === 200, 'the broker is ready again');

/** What every call does while the store does not answer, and that nothing else suffers. */
function refusesWithoutDelay(): void {
  test.each(Object.entries(calls))(
    '%s is refused with 503, soon, and never as unauthorized',
    async (_name, ask) => {
      const { ms, retryAfter, ...answer } = await ask();
      expect(answer).toEqual({ status: 503, error: 'store_unavailable' });
      expect(retryAfter).toBeGreaterThan(0);
      expect(ms).toBeLessThan(deadline);
    },
  );

  test('a hundred callers at once wait no longer than one', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, calls.mint));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(deadline);
  });

  test('the process says that it is alive', async () => {
    expect(await call('/healthz')).toMatchObject({ status: 200 });
  });
}

function worksAgain(): void {
  test('login, mint and upgrade work again by themselves', async () => {
    await healed();
    expect(await calls.login()).toMatchObject({ status: 200 });
    const { ticket } = await mint();
    expect(await upgrade(ticket)).toMatchObject({ status: 101 });
    expect(await upgrade(ticket)).toMatchObject({ status: 401 });
  });
}

describe('while nothing listens at REDIS_URL, from the start', refusesWithoutDelay);

describe('when Redis has been started', () => {
  beforeAll(() => redis.restart());
  worksAgain();
});

describe('while Redis hangs', () => {
  let ticket: string;
  beforeAll(async () => {
    ({ ticket } = await mint());
    redis.process.kill('SIGSTOP');
  });

  // All at once, while the connection still looks alive: afterwards the broker may know better.
  test('nobody who asks in its first second waits for ever, and of each it is logged what they asked for', async () => {
    const tickets = Array.from({ length: 10 }, () => newTicket(randomBytes));
    const asked = [...Object.values(calls).map((ask) => ask()), ...tickets.map(upgrade)];
    const answers = await Promise.all(asked);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(deadline);
    const logged = () => broker.decisions().map(({ ticket_id }) => ticket_id);
    await expect.poll(logged).toEqual(expect.arrayContaining(tickets.map(ticketId)));
  });

  refusesWithoutDelay();

  test('a good ticket is refused as well', async () => {
    expect(await upgrade(ticket)).toMatchObject({ status: 503, error: 'store_unavailable' });
  });

  describe('when it goes on', () => {
    beforeAll(() => void redis.process.kill('SIGCONT'));
    worksAgain();
  });
});

describe('when Redis has been killed and started again', () => {
  let ticket: string;
  beforeAll(async () => {
    ({ ticket } = await mint());
    await redis.stop('SIGKILL');
    await redis.restart();
  });
  worksAgain();

  test('the tickets of before are refused', async () => {
    expect(await upgrade(ticket)).toMatchObject({ status: 401, error: 'invalid_ticket' });
  });
});

describe('SIGTERM', () => {
  test('asks open sockets to come back elsewhere, though Redis is gone, and ends with 0', async () => {
    await healed();
    const url = `${broker.url.replace('http', 'ws')}/ws`;
    const sockets = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const socket = new WebSocket(`${url}?ticket=${(await mint()).ticket}`);
        await once(socket, 'message');
        return socket;
      }),
    );
    const codes = sockets.map(async (socket) => (await once(socket, 'close'))[0]);
    await redis.stop('SIGKILL');

    expect(await broker.stop()).toBe(0);
    expect(await Promise.all(codes)).toEqual([1012, 1012, 1012, 1012, 1012]);
  });
});
