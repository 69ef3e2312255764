import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type BrokerProcess, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, dial, exchange, handshake, type RawAnswer } from '../support/e2e-raw-http.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

/** All of 127.0.0.0/8 is ours: an address for each ticket, or each test, that has made no attempt yet. */
let addresses = 1;
const freshAddress = () => {
  addresses++;
  return `127.0.${addresses >> 8}.${(addresses & 255) + 1}`;
};

const withTicket = (ticket: string) => handshake({ target: `/ws?ticket=${ticket}` });
const unknownTicket = () => withTicket(`wst_${'A'.repeat(43)}`);

const startTwo = (env: NodeJS.ProcessEnv): Promise<[BrokerProcess, BrokerProcess]> =>
  Promise.all([startBroker(env), startBroker(env)]);

/** Connects first and sends everything afterwards, so that the handshakes really arrive together. */
async function rush(
  brokers: readonly BrokerProcess[],
  ticket: string,
  count: number,
  from: string,
): Promise<RawAnswer[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, (_, index) => dial(brokers[index % brokers.length]?.port ?? 0, from)),
  );
  try {
    return await Promise.all(sockets.map((socket: Socket) => exchange(socket, withTicket(ticket))));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

const tally = (answers: readonly RawAnswer[]) =>
  Object.fromEntries(
    [...Map.groupBy(answers, ({ status }) => status)].map(([status, all]) => [status, all.length]),
  );

describe('one ticket, 200 handshakes at once, over two processes', () => {
  let limited: BrokerProcess[];
  let unlimited: BrokerProcess[];
  beforeAll(async () => {
    const store = sharedStore(inject('redisUrl'));
    limited = await startTwo(store);
    unlimited = await startTwo({ ...store, ATTEMPT_LIMIT: '0' });
  });
  afterAll(() => Promise.all([...(limited ?? []), ...(unlimited ?? [])].map((broker) => broker.stop())));

  const tickets = async (count: number) => {
    const [first, second] = limited as [BrokerProcess, BrokerProcess];
    return Promise.all(Array.from({ length: count }, (_, index) => (index % 2 ? first : second).mint()));
  };

  test('opens one socket and refuses the rest as spent', async () => {
    for (const { ticket } of await tickets(20)) {
      expect(tally(await rush(unlimited, ticket, 200, freshAddress()))).toEqual({ 101: 1, 401: 199 });
    }
  });

  test('opens one socket and refuses the rest as spent or as too many', async () => {
    for (const { ticket } of await tickets(20)) {
      const answers = await rush(limited, ticket, 200, freshAddress());
      const { 101: opened, 401: spent = 0, 429: tooMany = 0, ...others } = tally(answers);
      expect({ opened, others }).toEqual({ opened: 1, others: {} });
      expect(spent + tooMany).toBe(199);
      // Each process lets ten go ahead before it knows what the other one counts.
      expect(spent).toBeGreaterThanOrEqual(10);
      expect(spent).toBeLessThanOrEqual(20);
    }
  });
});

describe('attempts', () => {
  let a: BrokerProcess;
  let b: BrokerProcess;
  beforeAll(async () => {
    [a, b] = await startTwo(sharedStore(inject('redisUrl')));
  });
  afterAll(() => Promise.all([a?.stop(), b?.stop()]));

  test('are counted for both processes, and a refused one leaves the ticket good', async () => {
    const { ticket } = await a.mint();
    const guesser = freshAddress();
    for (let guess = 0; guess < 10; guess++) {
      expect(await ask(a.port, unknownTicket(), guesser)).toMatchObject({ status: 401 });
    }

    const refused = await ask(b.port, withTicket(ticket), guesser);
    expect(refused).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
    const retryAfter = Number(refused.headers['retry-after']);
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(60);

    expect(await ask(b.port, withTicket(ticket), freshAddress())).toMatchObject({ status: 101 });
  });

  test('that open a socket do not count', async () => {
    const office = freshAddress();
    for (let person = 0; person < 30; person++) {
      const { ticket } = await a.mint();
      const node = person % 2 ? a : b;
      expect(await ask(node.port, withTicket(ticket), office)).toMatchObject({ status: 101 });
    }
  });

  test('may be made again when the window is over', async () => {
    await using quick = await startBroker({
      ...sharedStore(inject('redisUrl')),
      ATTEMPT_LIMIT: '1',
      ATTEMPT_WINDOW: '2',
    });
    const { ticket } = await quick.mint();
    const address = freshAddress();
    expect(await ask(quick.port, unknownTicket(), address)).toMatchObject({ status: 401 });
    await expect
      .poll(async () => (await ask(quick.port, withTicket(ticket), address)).status, { timeout: 20_000 })
      .toBe(101);
  });
});

test('a ticket that is revoked through one process does not open at the other', async () => {
  const store = sharedStore(inject('redisUrl'));
  const [a, b] = await startTwo(store);
  try {
    const { ticket, ticket_id } = await a.mint();
    const deleted = await fetch(`${a.url}/tickets/${ticket_id}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${await b.token()}` },
    });
    expect(deleted.status).toBe(204);
    expect(await ask(b.port, withTicket(ticket))).toMatchObject({
      status: 401,
      body: { error: 'invalid_ticket' },
    });
  } finally {
    await Promise.all([a.stop(), b.stop()]);
  }
});

test('a ticket that many nodes redeem at once, through both processes, is active for one question only', async () => {
  const keys = { SERVICE_KEYS_FILE: serviceKeysFile({ node: 'tickets:redeem' }) };
  const [a, b] = await startTwo({ ...sharedStore(inject('redisUrl')), ...keys });
  try {
    const redeem = async (at: BrokerProcess, ticket: string, redemption_id: string) => {
      const answer = await fetch(`${at.url}/tickets/redeem`, {
        method: 'POST',
        headers: { authorization: `Bearer ${keyOf('node')}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ticket, redemption_id }),
      });
      return (await answer.json()) as { active: boolean };
    };
    for (let round = 0; round < 5; round++) {
      const { ticket } = await a.mint();
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) => redeem(index % 2 ? a : b, ticket, `question-${index % 6}`)),
      );
      const active = answers.filter((answer) => answer.active);
      expect(active).toHaveLength(10);
      expect(new Set(active.map((answer) => JSON.stringify(answer))).size).toBe(1);
    }
  } finally {
    await Promise.all([a.stop(), b.stop()]);
  }
});
