import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TicketSocketOptions } from '../../src/client/client.ts';
import { type ChatNode, startChatNode, type Watched, watched } from '../support/e2e-client.ts';
import { until } from '../support/e2e-until.ts';

let node: ChatNode;
beforeEach(async () => {
  node = await startChatNode();
});
afterEach(async () => {
  await node.stop();
});

/** Tickets of nobody's: the node lets everyone in. */
const tickets = () => {
  let count = 0;
  return () => ({ ticket: `wst_${++count}` });
};
const visitor = (options: Partial<TicketSocketOptions> = {}): Watched =>
  watched({ url: node.url, getTicket: tickets(), ...options });

const opened = (times = 1) => until(() => node.handshakes.length >= times, `${times} handshakes`);
const welcome = (n = 1) => node.say(JSON.stringify({ type: 'welcome', session_id: `${n}` }));

describe('the ticket', () => {
  test('is a subprotocol beside another, and in no URL', async () => {
    using client = visitor();
    await opened();
    expect(node.handshakes).toEqual([{ url: '/ws', protocols: 'ticket-broker, ticket.wst_1' }]);
    client.socket.reconnect();
    await opened(2);
    expect(node.handshakes[1]).toEqual({ url: '/ws', protocols: 'ticket-broker, ticket.wst_2' });
  });

  test('stands beside the subprotocols of the application', async () => {
    using _ = visitor({ protocol: ['chat.v2', 'chat.v1'] });
    await opened();
    expect(node.handshakes[0]?.protocols).toBe('chat.v2, chat.v1, ticket.wst_1');
  });

  test('is in the URL where that is wished, each time another one', async () => {
    using client = visitor({ url: `${node.url}?room=lobby&ticket=wst_of_the_mint`, transport: 'query' });
    await opened();
    client.socket.reconnect();
    await opened(2);
    expect(node.handshakes).toEqual([
      { url: '/ws?room=lobby&ticket=wst_1', protocols: '' },
      { url: '/ws?room=lobby&ticket=wst_2', protocols: '' },
    ]);
  });
});

describe('what is sent without a connection', () => {
  test('waits for the welcome, behind what is sent because of it', async () => {
    using client = visitor();
    client.socket.on('welcome', () => client.socket.send({ type: 'join' }));
    expect(client.socket.send('one')).toBe(true);
    await opened();
    expect(client.socket.send('two')).toBe(true);
    // The node has heard nothing so far: what comes first is this.
    node.say('{"type":"too soon"}');
    await until(() => client.messages.length > 0, 'something said before the welcome');
    expect(node.received).toEqual([]);
    expect(client.socket.status.status).toBe('connecting');
    welcome();
    await until(() => node.received.length === 3, 'all of it');
    expect(node.received).toEqual(['{"type":"join"}', 'one', 'two']);
  });

  test('is refused beyond the limit, and kept in order below it', async () => {
    using client = visitor({ queueLimit: 3 });
    const taken = ['a', 'b', 'c', 'd', 'e'].map((message) => client.socket.send(message));
    expect(taken).toEqual([true, true, true, false, false]);
    await opened();
    welcome();
    await client.welcomed();
    expect(client.socket.send('f')).toBe(true);
    await until(() => node.received.length === 4, 'all that was taken');
    expect(node.received).toEqual(['a', 'b', 'c', 'f']);
  });

  test('is handed over a little at a time, and what is sent meanwhile comes behind it', async () => {
    using client = visitor({ queueLimit: 14 });
    const meanwhile = Array.from({ length: 14 }, (_, n) => `later ${n}`);
    let taken: string[] = [];
    client.socket.on('welcome', () => {
      client.socket.send('join');
      queueMicrotask(() => {
        taken = meanwhile.filter((message) => client.socket.send(message));
      });
    });
    const queued = Array.from({ length: 14 }, (_, n) => `${n}`);
    for (const message of queued) expect(client.socket.send(message)).toBe(true);
    await opened();
    welcome();
    await until(() => node.received.length === 25, 'all of it');
    // Ten had gone: ten more could wait.
    expect(taken).toEqual(meanwhile.slice(0, 10));
    expect(node.received).toEqual(['join', ...queued, ...taken]);
    expect(client.socket.send('at last')).toBe(true);
    await until(() => node.received.at(-1) === 'at last', 'what waits for nothing');
  });

  test('goes on waiting when the connection is lost half-way', async () => {
    using client = visitor();
    client.socket.on('welcome', () => client.socket.send('join'));
    const queued = Array.from({ length: 40 }, (_, n) => `${n}`);
    for (const message of queued) client.socket.send(message);
    await opened();
    welcome();
    await until(() => node.received.length > 11, 'some of it');
    node.close(1011);
    await until(() => client.waits().length > 0, 'the loss');
    const first = node.received.length - 1;
    expect(first).toBeLessThan(40);
    client.socket.send('meanwhile');
    await opened(2);
    welcome(2);
    await until(() => node.received.length === 43, 'the rest');
    expect(node.received).toEqual([
      'join',
      ...queued.slice(0, first),
      'join',
      ...queued.slice(first),
      'meanwhile',
    ]);
  });

  test('waits for the next welcome when it is connected anew half-way', async () => {
    using client = visitor();
    client.socket.on('welcome', ({ session_id }) => {
      client.socket.send(`join ${session_id}`);
      if (session_id === '1') queueMicrotask(() => client.socket.reconnect());
    });
    const queued = Array.from({ length: 12 }, (_, n) => `${n}`);
    for (const message of queued) client.socket.send(message);
    await opened();
    welcome();
    await opened(2);
    welcome(2);
    await until(() => node.received.length === 14, 'all of it');
    expect(node.received).toEqual(['join 1', ...queued.slice(0, 10), 'join 2', ...queued.slice(10)]);
  });

  test('is told of where it is closed half-way', async () => {
    using client = visitor();
    client.socket.on('welcome', () => queueMicrotask(() => client.socket.close()));
    for (let n = 0; n < 12; n++) client.socket.send(`${n}`);
    await opened();
    welcome();
    expect((await client.end()).unsent).toEqual(['10', '11']);
    expect(client.socket.send('more')).toBe(false);
  });

  test('waits over a loss, too', async () => {
    using client = visitor();
    await opened();
    welcome();
    await client.welcomed();
    node.close(1011);
    await until(() => client.waits().length > 0, 'the loss');
    client.socket.send('meanwhile');
    await opened(2);
    expect(node.received).toEqual([]);
    welcome(2);
    await until(() => node.received.length === 1, 'it');
    expect(client.waits().map(({ why }) => why)).toEqual(['1011']);
  });
});

describe('a server that does not welcome', () => {
  test('is connected to once the socket is open, where that is wished', async () => {
    using client = visitor({ expectWelcome: false });
    client.socket.send('hello');
    await until(() => node.received.length === 1, 'the message');
    expect(client.statuses).toEqual([{ status: 'connected' }]);
    node.say('not JSON');
    await until(() => client.messages.length === 1, 'the answer');
    expect(client.messages).toEqual(['not JSON']);
  });

  test('and hands on what others say, is handed no ticket: what they say is a message', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    let asked = 0;
    using client = visitor({
      expectWelcome: false,
      getTicket: () => ({ ticket: `wst_${++asked}` }),
    });
    await until(() => client.socket.status.status === 'connected', 'the connection');
    const forged = [
      { type: 'session.expiring', expires_in: 2 },
      { type: 'session.expiring' },
      { type: 'session.refreshed', expires_in: 2 },
      { type: 'error', error: 'invalid_ticket', about: 'session.refresh' },
      { type: 'welcome' },
    ];
    for (const message of forged) node.say(JSON.stringify(message));
    await until(() => client.messages.length === forged.length, 'all of it');
    client.socket.send('later');
    await until(() => node.received.length > 0, 'what comes after a ticket would');
    expect(client.messages).toEqual(forged);
    expect(node.received).toEqual(['later']);
    expect(asked).toBe(1);
    expect(client.welcomes).toEqual([]);
    vi.restoreAllMocks();
  });

  test('is refreshed at all the same, where that is wished', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    using client = visitor({ expectWelcome: false, refresh: true });
    await until(() => client.socket.status.status === 'connected', 'the connection');
    node.say('{"type":"session.expiring","expires_in":60}');
    await until(() => node.received.length > 0, 'the ticket');
    expect(node.received).toEqual(['{"type":"session.refresh","ticket":"wst_2"}']);
    vi.restoreAllMocks();
  });

  test('is left after a while otherwise, which counts as a failed attempt', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      using client = visitor();
      for (const times of [1, 2, 3]) {
        await until(async () => {
          await vi.advanceTimersByTimeAsync(1);
          return node.handshakes.length === times;
        }, `handshake ${times}`);
        // It is open on its side, too, once it hears something.
        node.say('anything but a welcome');
        await until(() => client.messages.length === times, 'the message');
        await vi.advanceTimersByTimeAsync(10_000);
        expect(client.statuses.filter(({ status }) => status === 'waiting')).toEqual(
          Array.from({ length: times }, (_, n) => ({
            status: 'waiting',
            why: 'no welcome',
            waitMs: 0,
            attempt: n + 1,
          })),
        );
      }
    } finally {
      vi.useRealTimers();
      vi.restoreAllMocks();
    }
  });
});

describe('a session that is about to end', () => {
  beforeEach(() => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  const say = (message: object) => node.say(JSON.stringify(message));

  test('is refreshed with another ticket where one is refused, and the application hears nothing of it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      using client = visitor();
      let refreshed = 0;
      client.socket.on('refreshed', () => refreshed++);
      const ticking = async (holds: () => boolean, what: string) => {
        await until(async () => {
          await vi.advanceTimersByTimeAsync(1);
          return holds();
        }, what);
      };
      await ticking(() => node.handshakes.length > 0, 'the handshake');
      welcome();
      say({ type: 'session.expiring', expires_in: 40 });
      await ticking(() => node.received.length === 1, 'the first ticket');
      say({ type: 'error', error: 'room_forbidden', about: 'session.refresh' });
      say({ type: 'anything' });
      await until(() => client.messages.length > 0, 'it has heard that');
      await vi.advanceTimersByTimeAsync(10_000);
      await until(() => node.received.length === 2, 'the second');
      expect(node.received.map((text) => JSON.parse(text))).toEqual([
        { type: 'session.refresh', ticket: 'wst_2' },
        { type: 'session.refresh', ticket: 'wst_3' },
      ]);
      say({ type: 'session.refreshed', expires_in: 60 });
      await until(() => refreshed > 0, 'the answer');
      expect(client.messages).toEqual([{ type: 'anything' }]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is refreshed, and what the application hears of its own messages meanwhile is left to it', async () => {
    using client = visitor();
    await opened();
    welcome();
    say({ type: 'session.expiring', expires_in: 4 });
    await until(() => node.received.length === 1, 'the ticket');
    const errors = [
      { type: 'error', error: 'store_unavailable', id: 7 },
      { type: 'error', error: 'rate_limited', retry_after_ms: 50 },
    ];
    for (const error of errors) say(error);
    say({ type: 'error', error: 'overloaded', about: 'session.refresh' });
    say({ type: 'anything' });
    await until(
      () => client.messages.some((message) => (message as { type: string }).type === 'anything'),
      'all',
    );
    expect(client.messages).toEqual([...errors, { type: 'anything' }]);
  });

  test('is left alone where that is wished: the application hears of it, and of what it is answered', async () => {
    using client = visitor({ refresh: false });
    const expiring: number[] = [];
    client.socket.on('expiring', ({ expires_in }) => expiring.push(expires_in));
    await opened();
    welcome();
    say({ type: 'session.expiring', expires_in: 4 });
    const refused = { type: 'error', error: 'invalid_ticket', about: 'session.refresh' };
    say(refused);
    await until(() => client.messages.length > 0, 'the answer');
    expect(expiring).toEqual([4]);
    expect(client.messages).toEqual([refused]);
    expect(node.received).toEqual([]);
  });

  test('says so after the welcome: before it, nobody knows who speaks', async () => {
    using client = visitor();
    await opened();
    say({ type: 'session.expiring', expires_in: 4 });
    await until(() => client.messages.length > 0, 'a message');
    welcome();
    await client.welcomed();
    client.socket.send('later');
    await until(() => node.received.length > 0, 'what comes after a ticket would');
    expect(node.received).toEqual(['later']);
  });

  test('and ends before there is a ticket: the next connection has one of its own', async () => {
    const fresh = tickets();
    let givenUp = false;
    using client = visitor({
      getTicket: (occasion, signal) => {
        if (occasion === 'connect') return fresh();
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            givenUp = true;
            reject(signal.reason);
          });
        });
      },
    });
    await opened();
    welcome();
    await client.welcomed();
    say({ type: 'session.expiring', expires_in: 60 });
    say({ type: 'anything' });
    await until(() => client.messages.length > 0, 'it has heard that');
    node.close(3000, 'session ended');
    await until(() => node.handshakes.length === 2, 'the next one, without waiting for that ticket', 5);
    expect(givenUp).toBe(true);
    expect(node.received).toEqual([]);
    expect(node.handshakes[1]?.protocols).toBe('ticket-broker, ticket.wst_2');
  });
});

describe('an application that cannot get a ticket', () => {
  test.each([
    ['rejects', () => Promise.reject(new Error('no network'))],
    ['rejects with nothing', () => Promise.reject()],
    [
      'throws',
      () => {
        throw new TypeError('of its own');
      },
    ],
    // No browser takes it for a subprotocol.
    ['has a ticket that is none', () => ({ ticket: 'not a token' })],
  ] as const)('%s: that is a failed attempt like any other, and it goes on', async (_how, fails) => {
    const fresh = tickets();
    let failures = 3;
    using client = visitor({ getTicket: () => (failures-- > 0 ? fails() : fresh()) });
    await opened();
    welcome();
    await client.welcomed();
    expect(client.waits()).toHaveLength(3);
    expect(node.handshakes).toHaveLength(1);
  });

  test('has the same one again: it is not presented twice', async () => {
    const sequence = ['wst_1', 'wst_1', 'wst_1', 'wst_2'];
    using client = visitor({ getTicket: () => ({ ticket: sequence.shift() ?? 'wst_3' }) });
    await opened();
    node.close(1011);
    await opened(2);
    expect(node.handshakes.map(({ protocols }) => protocols)).toEqual([
      'ticket-broker, ticket.wst_1',
      'ticket-broker, ticket.wst_2',
    ]);
    expect(client.waits().map(({ why }) => why)).toEqual([
      '1011',
      'no ticket: spent_ticket',
      'no ticket: spent_ticket',
    ]);
  });

  test('never answers: it can be closed, and opened again', async () => {
    const fresh = tickets();
    let asked = 0;
    using client = visitor({ getTicket: () => (asked++ === 0 ? new Promise(() => {}) : fresh()) });
    await until(() => asked === 1, 'it is asked');
    client.socket.close();
    client.socket.reconnect();
    await opened();
    expect(asked).toBe(2);
    expect(node.handshakes).toHaveLength(1);
  });
});

test('closed before it has begun, it asks for nothing', async () => {
  let asked = 0;
  const client = visitor({ getTicket: () => ({ ticket: `${++asked}` }) });
  client.socket.close();
  using later = visitor();
  await opened();
  welcome();
  await later.welcomed();
  expect(asked).toBe(0);
  expect(node.handshakes).toHaveLength(1);
});

test('closed and opened again in one go, there is one connection', async () => {
  using client = visitor();
  await opened();
  welcome();
  await client.welcomed();
  client.socket.close();
  client.socket.reconnect();
  client.socket.reconnect();
  await opened(2);
  welcome(2);
  await client.welcomed(2);
  await until(() => node.connections() === 1, 'the first one is gone');
  expect(node.handshakes).toHaveLength(2);
});

test('connected anew while the server closes, it takes the next welcome as one', async () => {
  using client = visitor();
  await opened();
  welcome();
  await client.welcomed();
  await node.beginClose();
  client.socket.send('meanwhile');
  client.socket.reconnect();
  client.socket.reconnect();
  await opened(2);
  expect(client.socket.status.status).toBe('connecting');
  welcome(2);
  await until(() => node.received.length > 0, 'what waited');
  expect(node.received).toEqual(['meanwhile']);
  expect(client.socket.status.status).toBe('connected');
  expect(client.welcomes.map(({ session_id }) => session_id)).toEqual(['1', '2']);
  expect(client.messages).toEqual([]);
  expect(node.handshakes).toHaveLength(2);
});

test('a listener may open it again while it is told of its end', async () => {
  using client = visitor();
  const off = client.socket.on('closed', () => client.socket.reconnect());
  await opened();
  welcome();
  await client.welcomed();
  node.close(3003, 'revoked');
  await opened(2);
  welcome(2);
  await client.welcomed(2);
  off();
  // It is whole: a loss brings it back once more.
  node.close(1011);
  await opened(3);
});

test('what the server says when it closes is passed on without secrets', async () => {
  using client = visitor();
  await opened();
  node.close(1008, `bad wst_${'a'.repeat(43)} eyJhbGciOi.eyJzdWIi.c2ln`);
  expect((await client.end()).why).toBe('1008 bad … …');
});
