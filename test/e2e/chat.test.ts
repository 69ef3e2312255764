import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type BrokerProcess, sharedStore, startBroker } from '../support/broker-process.ts';
import { type ChatSocket, openChat } from '../support/chat-socket.ts';
import { dial, exchange, handshake } from '../support/e2e-raw-http.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

let here: BrokerProcess;
let there: BrokerProcess;
beforeAll(async () => {
  const env = {
    ...sharedStore(inject('redisUrl')),
    ATTEMPT_LIMIT: '0',
    MINT_LIMIT: '0',
    CHAT_HISTORY: '5',
    SERVICE_KEYS_FILE: serviceKeysFile({ backend: 'tickets:mint', root: 'revoke' }),
  };
  here = await startBroker(env);
  there = await startBroker(env);
});
afterAll(async () => {
  await here?.stop();
  await there?.stop();
});

/** Somebody's socket on a node. */
async function come(
  node: BrokerProcess,
  sub: string,
  { rooms, room }: { rooms?: string[]; room?: string } = {},
) {
  const minted = await post(node, '/tickets', 'backend', { sub, username: sub, ...(rooms && { rooms }) });
  const url = String(minted['url']);
  return openChat(room === undefined ? url : `${url}&room=${encodeURIComponent(room)}`);
}

let rooms = 0;
const aRoom = () => `room ${++rooms}`;
const byType = (chat: ChatSocket, type: string) => chat.heard.filter((message) => message.type === type);
/** After an answer to this, everything that was said before has come. */
async function settled(chat: ChatSocket): Promise<void> {
  const room = aRoom();
  chat.say({ type: 'join', room });
  await chat.next('joined');
  await sleep(50);
}

describe('a message', () => {
  test('without a room goes to the lobby, on all nodes, its sender included, stamped', async () => {
    const [alice, bob] = [await come(here, 'alice'), await come(there, 'bob')];
    const line = '{"type":"test","payload":{"message":"Hello"}}';
    await settled(bob);
    alice.say(line);
    const heard = await bob.next('test');
    expect(heard).toEqual({
      type: 'test',
      payload: { message: 'Hello' },
      room: 'lobby',
      user: 'alice',
      timestamp: expect.closeTo(Date.now() / 1000, -1),
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(await alice.next('test')).toEqual(heard);
    alice.socket.close();
    bob.socket.close();
  });

  test('cannot claim to be from somebody else, or the server', async () => {
    const room = aRoom();
    const alice = await come(here, 'alice', { room });
    alice.say({ type: 'message', user: 'bob', timestamp: 1, requestId: 'mine', more: [1] });
    const heard = await alice.next('message');
    expect(heard).toMatchObject({ user: 'alice', room, more: [1] });
    expect(heard['requestId']).not.toBe('mine');
    for (const type of ['welcome', 'session.expiring', 'presence', 'joined', 'error']) {
      alice.say({ type, id: 7 });
      expect(await alice.next('error')).toMatchObject({ error: 'reserved_type', id: 7 });
    }
    alice.socket.close();
  });

  test('stays in its room', async () => {
    const [one, other] = [aRoom(), aRoom()];
    const [alice, bob] = [await come(here, 'alice', { room: one }), await come(here, 'bob', { room: other })];
    alice.say({ type: 'message', n: 1 });
    await alice.next('message');
    bob.say({ type: 'message', n: 2 });
    await bob.next('message');
    alice.say({ type: 'message', room: other });
    expect(await alice.next('error')).toMatchObject({ error: 'not_joined' });
    await settled(bob);
    expect(byType(alice, 'message')).toEqual([]);
    expect(byType(bob, 'message')).toEqual([]);
    alice.socket.close();
    bob.socket.close();
  });

  test('is checked: 1007 for what is not JSON, 1008 for the wrong shape or a forbidden room', async () => {
    const wrong: [unknown, number][] = [
      ['{', 1007],
      ['[]', 1008],
      ['"text"', 1008],
      ['{"type":7}', 1008],
      ['{"type":"UPPER"}', 1008],
      ['{"type":"message","room":7}', 1008],
      ['{"type":"message","room":""}', 1008],
      ['{"type":"message","room":"\\u0000"}', 1008],
      ['{"type":"message","room":"\\ud800"}', 1008],
      ['{"type":"message","room":"cellar"}', 1008],
      ['{"type":"join","room":"cellar"}', 1008],
    ];
    for (const [text, code] of wrong) {
      const alice = await come(here, 'alice', { rooms: ['hall'], room: 'hall' });
      alice.say(String(text));
      expect([text, (await alice.closed)[0]]).toEqual([text, code]);
    }
  });

  test('of more than 4 KiB is refused, and of more than 64 closes the socket with 1009', async () => {
    const alice = await come(here, 'alice', { room: aRoom() });
    alice.say({ type: 'message', id: 'big', payload: 'x'.repeat(5000) });
    expect(await alice.next('error')).toMatchObject({ error: 'payload_too_large', id: 'big' });
    alice.say({ type: 'message', payload: 'x'.repeat(70_000) });
    expect((await alice.closed)[0]).toBe(1009);
  });
});

describe('a room', () => {
  test('joined, it gives its history, who is there, and who comes and goes', async () => {
    const room = aRoom();
    const alice = await come(here, 'alice', { room });
    for (let n = 1; n <= 7; n++) alice.say({ type: 'message', n });
    for (let n = 1; n <= 7; n++) expect(await alice.next('message')).toMatchObject({ n });
    alice.say({ type: 'join', room });
    expect(await alice.next('joined')).toMatchObject({ room, members: ['alice'] });

    const bob = await come(there, 'bob');
    bob.say({ type: 'join', room });
    const joined = await bob.next('joined');
    expect(joined['members']).toEqual(expect.arrayContaining(['alice', 'bob']));
    expect((joined['history'] as { n: number }[]).map(({ n }) => n)).toEqual([3, 4, 5, 6, 7]);
    expect(await alice.next('presence')).toMatchObject({ room, user: 'alice', status: 'joined' });
    expect(await alice.next('presence')).toEqual({ type: 'presence', room, user: 'bob', status: 'joined' });

    const second = await come(here, 'bob');
    second.say({ type: 'join', room });
    await second.next('joined');
    bob.socket.close();
    await bob.closed;
    await settled(alice);
    expect(byType(alice, 'presence').filter(({ room: of }) => of === room)).toEqual([]);
    second.say({ type: 'leave', room });
    await second.next('left');
    await expect
      .poll(() => byType(alice, 'presence').filter(({ room: of }) => of === room))
      .toEqual([{ type: 'presence', room, user: 'bob', status: 'left' }]);
    for (const chat of [alice, second]) chat.socket.close();
  });

  test('left, it is heard no more', async () => {
    const room = aRoom();
    const [alice, bob] = [await come(here, 'alice', { room }), await come(there, 'bob', { room })];
    bob.say({ type: 'leave' });
    await bob.next('left');
    alice.say({ type: 'message' });
    await alice.next('message');
    await settled(bob);
    expect(byType(bob, 'message')).toEqual([]);
    for (const chat of [alice, bob]) chat.socket.close();
  });

  test('nothing that is said while somebody joins is lost, or comes twice', async () => {
    const room = aRoom();
    const alice = await come(here, 'alice', { room });
    await settled(alice);
    const bob = await come(there, 'bob');
    const speaking = (async () => {
      for (let n = 0; n < 40; n++) {
        alice.say({ type: 'message', n });
        await sleep(n < 20 ? 5 : 60);
      }
    })();
    await sleep(60);
    bob.say({ type: 'join', room });
    const joined = await bob.next('joined');
    await speaking;
    // What is said comes another way than an answer does.
    await expect.poll(() => byType(bob, 'message').at(-1)).toMatchObject({ n: 39 });
    await settled(bob);
    const seen = [...(joined['history'] as { n: number }[]), ...byType(bob, 'message')].map(({ n }) => n);
    expect(seen.at(-1)).toBe(39);
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, index) => 40 - seen.length + index));
    for (const chat of [alice, bob]) chat.socket.close();
  });

  test('is the first that the record allows, where that is not the lobby', async () => {
    const alice = await come(here, 'alice', { rooms: ['attic', 'cellar'] });
    alice.say({ type: 'message' });
    expect(await alice.next('message')).toMatchObject({ room: 'attic' });
    alice.socket.close();
  });

  test('a record without rooms opens none: not even the lobby', async () => {
    const [alice, bob] = [await come(here, 'alice'), await come(here, 'bob', { rooms: [] })];
    alice.say({ type: 'message' });
    await alice.next('message');
    expect(bob.heard).toEqual([]);
    bob.say({ type: 'message' });
    expect((await bob.closed)[0]).toBe(1008);
    alice.socket.close();
  });

  test('one socket may be in a hundred', async () => {
    const alice = await come(here, 'alice');
    for (let n = 0; n < 100; n++) {
      alice.say({ type: 'join', room: `many ${n}` });
      if (n % 10 < 9) continue;
      // Each ten when the ten before have been taken, or a node that stood still meanwhile gets too many at once.
      await expect.poll(() => byType(alice, 'joined').length).toBe(Math.min(n + 1, 99));
      await sleep(1000);
    }
    expect(await alice.next('error')).toMatchObject({ error: 'too_many_rooms' });
    alice.socket.close();
  });
});

test('who is revoked has no say any more, also when the close is not answered', async () => {
  const room = aRoom();
  const alice = await come(here, 'alice', { room });
  const minted = await post(here, '/tickets', 'backend', { sub: 'mallory' });
  const socket = await dial(here.port);
  socket.on('error', () => {});
  const target = `/ws?ticket=${minted['ticket']}&room=${encodeURIComponent(room)}`;
  const { status } = await exchange(socket, handshake({ target }));
  expect(status).toBe(101);
  socket.write(frame('{"type":"message","n":1}'));
  expect(await alice.next('message')).toMatchObject({ user: 'mallory', n: 1 });

  await post(here, '/revocations', 'root', { sub: 'mallory' });
  await expect.poll(() => here.output().includes('"sub":"mallory","ip"')).toBe(true);
  socket.write(frame('{"type":"message","n":2}'));
  await settled(alice);
  expect(byType(alice, 'message')).toEqual([]);
  socket.destroy();
  alice.socket.close();
});

/** A text frame, masked, as a client has to, with zeros. */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

async function post(
  node: BrokerProcess,
  path: string,
  key: string,
  body: object,
): Promise<Record<string, unknown>> {
  const answer = await fetch(`${node.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf(key)}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
  return (await answer.json()) as Record<string, unknown>;
}

describe('a burst', () => {
  test('of 10,000 messages from one socket is cut to its limit, and the others hear and are heard as before', async () => {
    const room = aRoom();
    const [loud, alice, bob] = [
      await come(here, 'loud'),
      await come(here, 'alice', { room }),
      await come(here, 'bob', { room }),
    ];
    await settled(bob);
    const roundTrip = async () => {
      const started = performance.now();
      const heard = once(bob.socket, 'message');
      alice.say({ type: 'message' });
      await heard;
      return performance.now() - started;
    };
    const many = async (count: number) => {
      const times: number[] = [];
      for (let n = 0; n < count; n++) {
        times.push(await roundTrip());
        // Below their own limit.
        await sleep(60);
      }
      return times.sort((one, other) => one - other);
    };
    await many(10);
    const before = await many(15);
    for (let n = 0; n < 10_000; n++) loud.say({ type: 'message', n });
    const during = await many(15);
    const told = (times: number[]) => `median ${times[7]?.toFixed(1)} ms, worst ${times[14]?.toFixed(1)} ms`;
    console.log(`others, before the burst: ${told(before)}; during: ${told(during)}`);
    expect(during).toHaveLength(15);
    const errors = byType(loud, 'error');
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.length).toBeLessThan(100);
    expect(errors[0]).toMatchObject({ error: 'rate_limited', retry_after_ms: expect.any(Number) });
    expect(byType(loud, 'message').length).toBeLessThan(1000);
    for (const chat of [loud, alice, bob]) chat.socket.close();
  });

  test('a reader that stops reading is cut off, and the others are not', async () => {
    const loudBroker = await startBroker({
      ...sharedStore(inject('redisUrl')),
      MESSAGE_LIMIT: '0',
      SERVICE_KEYS_FILE: serviceKeysFile({ backend: 'tickets:mint' }),
    });
    const [loud, deaf] = [await come(loudBroker, 'loud'), await come(loudBroker, 'deaf')];
    deaf.socket.pause();
    const payload = 'x'.repeat(3500);
    let said = 0;
    const gone = () => /"sub":"deaf",.*"code":1006/.test(loudBroker.output());
    while (!gone() && said < 20_000) {
      for (let n = 0; n < 100; n++) loud.say({ type: 'message', n: said++, payload });
      await expect.poll(() => byType(loud, 'message').length, { timeout: 30_000 }).toBe(said);
    }
    expect(gone()).toBe(true);
    expect(loud.socket.readyState).toBe(1);
    loud.socket.close();
    deaf.socket.terminate();
    await loudBroker.stop();
  });
});

test('CHAT=off leaves the socket as it was: welcomed, and nothing else', async () => {
  const quiet = await startBroker({ CHAT: 'off' });
  const { url } = await quiet.mint();
  const alice = await openChat(url);
  alice.say({ type: 'message' });
  expect(await alice.next('error')).toMatchObject({ error: 'unknown_type' });
  alice.socket.close();
  await quiet.stop();
});

test('on the embedded store it is the same', async () => {
  const alone = await startBroker();
  const [alice, bob] = [await openChat((await alone.mint()).url), await openChat((await alone.mint()).url)];
  alice.say({ type: 'join' });
  expect(await alice.next('joined')).toMatchObject({ room: 'lobby', members: ['alice'], history: [] });
  bob.say({ type: 'hello' });
  expect(await alice.next('hello')).toMatchObject({ user: 'alice', room: 'lobby' });
  alice.socket.close();
  bob.socket.close();
  await alone.stop();
});
