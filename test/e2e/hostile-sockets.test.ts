import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, secretsIn, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, dial, exchange, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';

const handshakeTimeout = 2;

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await startBroker({
    ...sharedStore(inject('redisUrl')),
    ATTEMPT_LIMIT: '0',
    HANDSHAKE_TIMEOUT: `${handshakeTimeout}`,
  });
});
// Stopping it also asserts that its log, at debug level, holds no secret of all this.
afterAll(() => broker?.stop());

const isAlive = async () => expect((await fetch(`${broker.url}/healthz`)).status).toBe(200);
const target = (ticket: string) => `/ws?ticket=${ticket}`;
const refusalOf = (error: string) => ({ error, error_description: expect.any(String) });

type Headers = Record<string, string | undefined>;
interface Request {
  method?: string;
  target?: string;
  headers?: Headers;
}

describe('a malformed handshake is refused in JSON, without repeating the ticket or spending it', () => {
  const cases: [
    what: string,
    status: number,
    error: string,
    request: (ticket: string, other: string) => Request,
  ][] = [
    [
      'POST',
      404,
      'not_found',
      (t) => ({ method: 'POST', target: target(t), headers: { 'Content-Length': '0' } }),
    ],
    [
      'PUT',
      404,
      'not_found',
      (t) => ({ method: 'PUT', target: target(t), headers: { 'Content-Length': '0' } }),
    ],
    ['another path', 404, 'not_found', (t) => ({ target: `/nowhere?ticket=${t}` })],
    ['a path below', 404, 'not_found', (t) => ({ target: `/ws/more?ticket=${t}` })],
    ['the ticket in the path', 404, 'not_found', (t) => ({ target: `/ws/${t}` })],
    ['a broken path', 400, 'invalid_request', (t) => ({ target: `/%zz?ticket=${t}` })],
    ['no Upgrade', 426, 'upgrade_required', (t) => ({ target: target(t), headers: { Upgrade: undefined } })],
    [
      'no Connection',
      426,
      'upgrade_required',
      (t) => ({ target: target(t), headers: { Connection: 'close' } }),
    ],
    ['Upgrade to h2c', 426, 'upgrade_required', (t) => ({ target: target(t), headers: { Upgrade: 'h2c' } })],
    [
      'no key',
      400,
      'invalid_request',
      (t) => ({ target: target(t), headers: { 'Sec-WebSocket-Key': undefined } }),
    ],
    [
      'a bad key',
      400,
      'invalid_request',
      (t) => ({ target: target(t), headers: { 'Sec-WebSocket-Key': 'short' } }),
    ],
    [
      'version 12',
      426,
      'upgrade_required',
      (t) => ({ target: target(t), headers: { 'Sec-WebSocket-Version': '12' } }),
    ],
    [
      'no version',
      426,
      'upgrade_required',
      (t) => ({ target: target(t), headers: { 'Sec-WebSocket-Version': undefined } }),
    ],
    ['?ticket= twice', 400, 'invalid_request', (t, other) => ({ target: `/ws?ticket=${t}&ticket=${other}` })],
    ['the same ?ticket= twice', 400, 'invalid_request', (t) => ({ target: `/ws?ticket=${t}&ticket=${t}` })],
    ['?room= twice', 400, 'invalid_request', (t) => ({ target: `/ws?ticket=${t}&room=a&room=b` })],
    [
      'two tickets offered',
      400,
      'invalid_request',
      (t, other) => offering(`chat, ticket.${t}, ticket.${other}`),
    ],
    ['the ticket in both places', 400, 'invalid_request', (t) => offering(`chat, ticket.${t}`, target(t))],
    [
      'a ticket in each place',
      400,
      'invalid_request',
      (t, other) => offering(`chat, ticket.${t}`, target(other)),
    ],
    ['nothing but a ticket offered', 400, 'invalid_request', (t) => offering(`ticket.${t}`)],
    ['an empty protocol', 400, 'invalid_request', (t) => offering(`chat,, ticket.${t}`)],
    ['a protocol that is no token', 400, 'invalid_request', (t) => offering(`chat room, ticket.${t}`)],
    ['a protocol twice', 400, 'invalid_request', (t) => offering(`chat, chat, ticket.${t}`)],
    ['the ticket cut short', 401, 'invalid_ticket', (t) => ({ target: target(t.slice(0, -1)) })],
    ['the ticket with more behind it', 401, 'invalid_ticket', (t) => ({ target: target(`${t}A`) })],
    ['the ticket under another name', 401, 'invalid_ticket', (t) => ({ target: `/ws?tickets=${t}` })],
    [
      'the ticket in Authorization',
      401,
      'invalid_ticket',
      (t) => ({ headers: { Authorization: `Bearer ${t}` } }),
    ],
    [
      'an Origin that is none',
      403,
      'origin_forbidden',
      (t) => ({ target: target(t), headers: { Origin: ':' } }),
    ],
    ['no Host', 400, 'invalid_request', (t) => ({ target: target(t), headers: { Host: undefined } })],
  ];

  function offering(protocols: string, path = '/ws'): Request {
    return { target: path, headers: { 'Sec-WebSocket-Protocol': protocols } };
  }

  test.each(cases)('%s: %i %s', async (_what, status, error, request) => {
    const [{ ticket }, other] = await Promise.all([broker.mint(), broker.mint()]);

    const refused = await ask(broker.port, handshake(request(ticket, other.ticket)));
    expect(refused).toMatchObject({ status, body: refusalOf(error) });
    expect(refused.headers['content-type']).toMatch(/^application\/json/);
    expect(secretsIn(JSON.stringify(refused))).toEqual([]);

    for (const good of [ticket, other.ticket]) {
      expect(await ask(broker.port, handshake({ target: target(good) }))).toMatchObject({ status: 101 });
    }
  });

  test('an Upgrade that is not for the gate is ignored, as RFC 9110 7.8 has it', async () => {
    const { ticket } = await broker.mint();
    const answer = await ask(broker.port, handshake({ target: `/healthz?ticket=${ticket}` }));
    expect(answer).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
  });
});

describe('what is no HTTP', () => {
  test.each([
    ['garbage', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x0d, 0x0a, 0x0d, 0x0a])],
    ['words', 'hello, is this a chat?\r\n\r\n'],
    ['a header without a colon', 'GET /ws HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n'],
    ['a NUL in a header', 'GET /ws HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n'],
  ])('%s is answered 400 in JSON and closed', async (_what, bytes) => {
    const socket = await dial(broker.port);
    const closed = once(socket, 'close');
    expect(await exchange(socket, bytes)).toMatchObject({ status: 400, body: refusalOf('invalid_request') });
    await closed;
  });

  test.each([
    ['one long header', (length: number) => ({ 'X-Long': 'x'.repeat(length) })],
    ['a long cookie', (length: number) => ({ Cookie: `a=${'x'.repeat(length)}` })],
    [
      'a long list of protocols',
      (length: number) => ({ 'Sec-WebSocket-Protocol': `chat, ${'x'.repeat(length)}` }),
    ],
  ])('%s of more than 8 KiB is answered 431 in JSON, and the ticket stays good', async (_what, headers) => {
    const { ticket } = await broker.mint();
    const tooLarge = handshake({ target: target(ticket), headers: headers(8 * 1024) });
    expect(await ask(broker.port, tooLarge)).toMatchObject({
      status: 431,
      body: refusalOf('headers_too_large'),
    });
    const large = handshake({ target: target(ticket), headers: headers(7 * 1024) });
    expect(await ask(broker.port, large)).toMatchObject({ status: 101 });
  });
});

describe('a client that stops in the middle', () => {
  test.each([
    ['of the request line', (text: string) => text.slice(0, 20)],
    ['of the headers', (text: string) => text.slice(0, -30)],
    ['before the empty line', (text: string) => text.slice(0, -2)],
  ])('%s is answered 408 in JSON and closed', async (_where, cut) => {
    const { ticket } = await broker.mint();
    const socket = await dial(broker.port);
    const closed = once(socket, 'close');
    const start = performance.now();
    const answer = await exchange(socket, cut(handshake({ target: target(ticket) })));
    expect(answer).toMatchObject({ status: 408, body: refusalOf('request_timeout') });
    // Node looks once a second; the rest is for a busy machine.
    expect(performance.now() - start).toBeLessThan((handshakeTimeout + 4) * 1000);
    await closed;
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
  });

  test('one byte at a time is cut off as well', async () => {
    const socket = await dial(broker.port);
    const drip = setInterval(() => socket.write('x'), 100);
    const answer = await exchange(socket, 'GET /ws HTTP/1.1\r\nX-Slow: ').finally(() => clearInterval(drip));
    expect(answer).toMatchObject({ status: 408 });
    socket.destroy();
  });

  test('without a word is cut off as well', async () => {
    const socket = await dial(broker.port);
    socket.resume();
    await once(socket, 'close', { signal: AbortSignal.timeout((handshakeTimeout + 10) * 1000) });
  });
});

describe('a connection that takes and does not give', () => {
  test.each(['http://%zz/ws', 'http://x:abc/ws', 'http://[/ws'])(
    'a handshake for %s, which no router reads, is answered and hung up on',
    async (where) => {
      const socket = await dial(broker.port);
      const ended = once(socket, 'end');
      const answer = await exchange(socket, handshake({ target: `${where}?ticket=wst_${'A'.repeat(43)}` }));
      expect(answer).toMatchObject({ status: 401, headers: { connection: 'close' } });
      await ended;
      socket.destroy();
    },
  );

  test('a hundred requests in one go, before the first answer, are hung up on', async () => {
    const socket = await dial(broker.port);
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    socket.resume().write('GET /openapi.yaml HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(100));
    await closed;
    await isAlive();
  });

  test.each(['/docs/static/swagger-ui-bundle.js', '/docs/static/swagger-ui.css'])(
    'a file, %s, is not opened before what was asked for earlier has been given',
    async (file) => {
      const socket = await dial(broker.port);
      socket.on('error', () => {});
      const closed = once(socket, 'close');
      socket.resume().write(`GET ${file} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`.repeat(2));
      await closed;
      expect((await fetch(`${broker.url}${file}`)).status).toBe(200);
    },
  );

  test('but no WebSocket that has nothing to say', async () => {
    await using hasty = await startBroker({ HANDSHAKE_TIMEOUT: '1', REDIS_COMMAND_TIMEOUT: '100' });
    const mute = new WebSocket((await hasty.mint()).url);
    await once(mute, 'message');
    // Twice as long as a connection may take nothing.
    await sleep(14_000);
    expect(mute.readyState).toBe(WebSocket.OPEN);
    mute.close();
  });
});

describe('a client that resets the connection', () => {
  test('right after its handshake does not disturb the others', async () => {
    const tickets = await Promise.all(Array.from({ length: 100 }, () => broker.mint()));
    await Promise.all(
      tickets.map(async ({ ticket }) => {
        const socket = await dial(broker.port);
        socket.on('error', () => {});
        socket.write(handshake({ target: target(ticket) }));
        socket.resetAndDestroy();
      }),
    );
    await isAlive();
    const { ticket } = await broker.mint();
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
    expect(broker.output()).not.toMatch(/"level":"(error|fatal)"/);
  });

  test('after it was welcomed is gone from the sockets', async () => {
    const { ticket, ticket_id } = await broker.mint();
    const socket = await dial(broker.port);
    expect(await exchange(socket, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
    socket.on('error', () => {});
    socket.resetAndDestroy();
    await until(
      () =>
        broker
          .output()
          .split('\n')
          .some((line) => line.includes('socket closed') && line.includes(ticket_id)),
      'the log says that it has closed',
    );
  });
});

describe('an open socket', () => {
  const open = async () => {
    const socket = new WebSocket(
      `${broker.url.replace('http', 'ws')}${target((await broker.mint()).ticket)}`,
    );
    socket.on('error', () => {});
    await once(socket, 'message');
    return socket;
  };
  const closeCode = async (socket: WebSocket) => (await once(socket, 'close'))[0];
  const messageOf = (length: number) => {
    const message = (text: string) => JSON.stringify({ type: 'test', text });
    return message('x'.repeat(length - message('').length));
  };

  test('takes a message of 64 KiB', async () => {
    const socket = await open();
    socket.send(messageOf(64 * 1024));
    const [data] = await once(socket, 'message');
    expect(JSON.parse(String(data))).toMatchObject({ type: 'error' });
    socket.close();
  });

  test.each([
    ['a message of one byte more', 1009, (socket: WebSocket) => socket.send(messageOf(64 * 1024 + 1))],
    ['a message in parts that grows past it', 1009, (socket: WebSocket) => sendInParts(socket, 100)],
    ['JSON that is no message', 1008, (socket: WebSocket) => socket.send('"hello"')],
    ['a message without a type', 1008, (socket: WebSocket) => socket.send('{"text":"hello"}')],
    ['a message that is not JSON', 1007, (socket: WebSocket) => socket.send('hello')],
    ['an empty message', 1007, (socket: WebSocket) => socket.send('')],
    ['binary that is not JSON', 1007, (socket: WebSocket) => socket.send(Buffer.from([0, 159, 146, 150]))],
  ])('closes after %s: %i', async (_what, code, send) => {
    const socket = await open();
    const closed = closeCode(socket);
    send(socket);
    expect(await closed).toBe(code);
    await isAlive();
  });

  const sendInParts = (socket: WebSocket, kib: number) => {
    for (let part = 1; part <= kib; part++) socket.send('x'.repeat(1024), { fin: part === kib });
  };

  test('closes after a message of more than 128 parts: 1008', async () => {
    const socket = await open();
    const closed = once(socket, 'close');
    for (let part = 0; part < 200; part++) socket.send('x', { fin: false });
    expect((await closed)[0]).toBe(1008);
  });

  test('closes after text that is not UTF-8: 1007', async () => {
    const socket = await open();
    const closed = closeCode(socket);
    socket.send(Buffer.from([0xff, 0xfe, 0xfd]), { binary: false });
    expect(await closed).toBe(1007);
  });

  test('closes after a frame that is not masked: 1002', async () => {
    const socket = await open();
    const closed = closeCode(socket);
    socket.send('"unmasked"', { mask: false });
    expect(await closed).toBe(1002);
  });

  test('answers a ping with what it brought', async () => {
    const socket = await open();
    socket.ping('are you there?');
    const [data] = await once(socket, 'pong');
    expect(String(data)).toBe('are you there?');
    socket.close();
  });

  const emptyPing = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);

  test.each([
    ['and reads', (socket: Socket) => socket.resume()],
    ['and does not read', (socket: Socket) => socket.pause()],
  ])('that asks for a thousand answers at once %s is dropped', async (_what, settle) => {
    const { ticket } = await broker.mint();
    const socket = await dial(broker.port);
    await exchange(socket, handshake({ target: target(ticket) }));
    socket.on('error', () => {});
    settle(socket);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(Buffer.concat(Array.from({ length: 1000 }, () => emptyPing)));
    // Whoever reads nothing hears of it when it writes again.
    const again = setInterval(() => socket.write(emptyPing), 50);
    await closed.finally(() => clearInterval(again));
    await isAlive();
  });

  test('has a thousand pings answered, one after the other', async () => {
    const socket = await open();
    for (let n = 0; n < 1000; n++) {
      socket.ping(`${n}`);
      const [data] = await once(socket, 'pong');
      expect(String(data)).toBe(`${n}`);
    }
    socket.close();
  });
});

test('a room is entered under its whole name, question marks and all', async () => {
  const { ticket, ticket_id } = await broker.mint({ rooms: ['why?', 'why'] });
  const headers = { 'Sec-WebSocket-Protocol': `chat, ticket.${ticket}` };
  const answer = await ask(broker.port, handshake({ target: '/ws?room=why?', headers }));
  expect(answer).toMatchObject({ status: 101 });
  const granted = () =>
    broker
      .output()
      .split('\n')
      .find((line) => line.includes(ticket_id) && line.includes('"redeem"'));
  await until(() => granted() !== undefined, 'the log tells of it');
  expect(granted()).toContain('"room":"why?"');
});

test.each([
  ['a second question mark', (ticket: string) => `lobby?ticket=${ticket}`],
  ['an encoded one', (ticket: string) => encodeURIComponent(`lobby?ticket=${ticket}`)],
])(
  'no room is named after a ticket that came behind %s, and neither ticket is spent',
  async (_what, room) => {
    const [{ ticket: misplaced }, { ticket }] = [await broker.mint(), await broker.mint()];
    const headers = { 'Sec-WebSocket-Protocol': `chat, ticket.${ticket}` };
    const target = `/ws?room=${room(misplaced)}`;
    const answer = await ask(broker.port, handshake({ target, headers }));
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect(answer.text).not.toContain(misplaced);
    for (const unspent of [misplaced, ticket]) {
      expect(await ask(broker.port, handshake({ target: `/ws?ticket=${unspent}` }))).toMatchObject({
        status: 101,
      });
    }
  },
);

describe('a thousand at once', () => {
  const residentMiB = async () => {
    const status = await readFile(`/proc/${broker.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };

  test('with malformed handshakes leave the process healthy and small', async () => {
    const { ticket } = await broker.mint();
    const malformed = handshake({ target: target(ticket), headers: { 'Sec-WebSocket-Key': 'no key' } });
    const before = await residentMiB();
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 1000 }, () => ask(broker.port, malformed)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400]));
    }
    await isAlive();
    expect(await residentMiB()).toBeLessThan(before + 150);
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
  });

  test('that say nothing at all are let go', async () => {
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => dial(broker.port)));
    const closed = sockets.map(async (socket) => {
      socket.resume().on('error', () => {});
      await once(socket, 'close');
    });
    await isAlive();
    await Promise.all(closed);
    await isAlive();
  });
});
