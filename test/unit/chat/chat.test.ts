import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Backplane } from '../../../src/chat/backplane.ts';
import { createChat } from '../../../src/chat/chat.ts';
import { BrokerError } from '../../../src/errors.ts';
import type { Enter } from '../../../src/sessions/connection.ts';
import { memoryBackplane } from '../../../src/store/memory-backplane.ts';

/** A memory backplane of which some calls wait, or fail, as a store's may. */
function backplaneWith(changes: (memory: Backplane) => Partial<Backplane>): Backplane {
  const memory = memoryBackplane({ history: 10 });
  return { ...memory, ...changes(memory) };
}

const chatOn = (backplane: Backplane, now = Date.now) =>
  createChat({
    backplane,
    now,
    randomUUID,
    log: { error: (fields) => expect(fields).toBeUndefined() },
  });

/** Somebody's connection, as live sockets would hand it over. */
function come(
  enter: Enter,
  sub: string,
  rooms: { current: string[] | undefined } = { current: undefined },
  room?: string,
) {
  const heard: Record<string, unknown>[] = [];
  const closes: number[] = [];
  const record = {
    sub,
    username: sub,
    auth_time: 0,
    session_ttl: 60,
    get rooms() {
      return rooms.current as string[];
    },
  };
  const stay = enter({
    session: () => ({ session_id: sub, record, deadline: 0, exp: 0 }),
    peer: { ip: '192.0.2.1', origin: undefined, via: 'ws', room },
    isOpen: () => closes.length === 0,
    send: (text) => heard.push(JSON.parse(text)),
    close: (code) => closes.push(code),
  });
  return { ...stay, heard, closes, types: () => heard.map(({ type }) => type) };
}

test('what is said while the others hear of a newcomer is not lost to the newcomer', async () => {
  const { promise: told, resolve } = Promise.withResolvers<void>();
  const backplane = backplaneWith((memory) => ({
    async say(room, said, keep) {
      if (said.text.includes('"presence"')) await told;
      await memory.say(room, said, keep);
    },
  }));
  const enter = chatOn(backplane);
  const [alice, bob] = [come(enter, 'alice'), come(enter, 'bob')];
  alice.receive({ type: 'join' });
  await expect.poll(alice.types).toContain('joined');
  bob.receive({ type: 'hello' });
  await expect.poll(alice.types).toEqual(['joined', 'hello']);
  resolve();
  await expect.poll(alice.types).toEqual(['joined', 'hello', 'presence']);
});

test('what is said while a join fails is not lost, and the join can be tried again', async () => {
  let failing = true;
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const backplane = backplaneWith((memory) => ({
    async history(room) {
      await answered;
      if (failing) throw new BrokerError('store_unavailable');
      return memory.history(room);
    },
  }));
  const enter = chatOn(backplane);
  const [alice, bob] = [come(enter, 'alice'), come(enter, 'bob')];
  alice.receive({ type: 'join', id: 'first' });
  bob.receive({ type: 'hello' });
  await nextTurn();
  resolve();
  await expect.poll(alice.types).toEqual(['hello', 'error']);
  expect(alice.heard[1]).toMatchObject({ error: 'store_unavailable', id: 'first' });
  failing = false;
  alice.receive({ type: 'join' });
  await expect.poll(alice.types).toEqual(['hello', 'error', 'joined', 'presence']);
});

test('join, leave, join at once: seen by all, once', async () => {
  const backplane = memoryBackplane({ history: 10 });
  const enter = chatOn(backplane);
  const [alice, bob] = [come(enter, 'alice'), come(enter, 'bob')];
  bob.receive({ type: 'join' });
  await expect.poll(bob.types).toEqual(['joined', 'presence']);
  for (const type of ['join', 'leave', 'join']) alice.receive({ type, room: 'lobby' });
  await expect.poll(alice.types).toEqual(['joined', 'presence', 'left', 'joined', 'presence']);
  expect((await backplane.members('lobby')).map(({ sub }) => sub)).toEqual(['bob', 'alice']);
  expect(bob.heard.slice(2).map(({ status }) => status)).toEqual(['joined', 'left', 'joined']);
});

test('a session that goes on with fewer rooms leaves the others', async () => {
  const backplane = memoryBackplane({ history: 10 });
  const enter = chatOn(backplane);
  const rooms: { current: string[] | undefined } = { current: undefined };
  const [alice, bob] = [come(enter, 'alice', rooms), come(enter, 'bob')];
  for (const room of ['a', 'secret']) {
    alice.receive({ type: 'join', room });
    bob.receive({ type: 'join', room });
  }
  await expect.poll(() => bob.types().filter((type) => type === 'joined')).toHaveLength(2);
  rooms.current = ['a'];
  alice.renewed();
  await expect.poll(() => alice.heard.filter(({ type }) => type === 'left')).toHaveLength(2);
  bob.receive({ type: 'told', room: 'secret' });
  bob.receive({ type: 'said', room: 'a' });
  await expect.poll(alice.types).toContain('said');
  expect(alice.types()).not.toContain('told');
});

test('while the store hangs, a hundred messages wait, and the others are refused', async () => {
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const backplane = backplaneWith((memory) => ({
    async say(room, said, keep) {
      await answered;
      await memory.say(room, said, keep);
    },
  }));
  const alice = come(chatOn(backplane), 'alice');
  for (let n = 0; n < 150; n++) alice.receive({ type: 'said', id: n });
  expect(alice.heard.map(({ error, id }) => [error, id])).toEqual(
    Array.from({ length: 50 }, (_, n) => ['overloaded', 100 + n]),
  );
  resolve();
  await expect
    .poll(() => alice.heard.filter(({ type }) => type === 'said').map(({ id }) => id))
    .toEqual(Array.from({ length: 100 }, (_, n) => n));
});

test('what is nested too deep to be said again is refused, and no bug', async () => {
  const alice = come(chatOn(memoryBackplane({ history: 10 })), 'alice');
  const nested = JSON.parse(`${'['.repeat(20_000)}${']'.repeat(20_000)}`);
  alice.receive({ type: 'deep', nested });
  await expect.poll(() => alice.heard).toMatchObject([{ error: 'payload_too_large' }]);
});

test('who leaves while the history is still on its way is nowhere afterwards', async () => {
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const steps: string[] = [];
  const backplane = backplaneWith((memory) => ({
    async history(room) {
      await answered;
      return memory.history(room);
    },
    async arrive(room, who) {
      steps.push('arrives');
      return memory.arrive(room, who);
    },
    async depart(room, who) {
      steps.push('departs');
      return memory.depart(room, who);
    },
  }));
  const alice = come(chatOn(backplane), 'alice');
  alice.receive({ type: 'join' });
  alice.leave();
  resolve();
  await expect.poll(() => steps).toEqual(['arrives', 'departs']);
  expect(await backplane.members('lobby')).toEqual([]);
});

describe('a subject with many sockets', () => {
  /** Each has joined a hundred rooms, all of them different, and the first of them is the one that it came with. */
  async function crowd(backplane: Backplane, sockets: number) {
    let clock = 0;
    const enter = chatOn(backplane, () => clock);
    const all = Array.from({ length: sockets }, (_, n) => come(enter, 'alice', undefined, `${n} 1`));
    for (const [socket, { receive, heard }] of all.entries()) {
      for (let n = 1; n <= 100; n++) {
        clock += 100;
        receive({ type: 'join', room: `${socket} ${n}` });
        while (heard.filter(({ type }) => type !== 'presence').length < n) await nextTurn();
      }
    }
    return all;
  }

  test('is in a thousand rooms at most, and in others once it has left some', async () => {
    const backplane = memoryBackplane({ history: 0 });
    const all = await crowd(backplane, 11);
    const last = all.at(-1);
    expect(last?.heard.filter(({ error }) => error === 'too_many_rooms')).toHaveLength(100);
    all[0]?.leave();
    await expect.poll(() => backplane.members('0 99')).toEqual([]);
    last?.receive({ type: 'join', room: 'one more' });
    await expect.poll(() => backplane.members('one more')).toHaveLength(1);
  });

  test.each([
    ['while the histories are on their way', async () => nextTurn()],
    [
      'where the store refuses them',
      async () => {
        throw new BrokerError('store_unavailable');
      },
    ],
  ])('hears no more than that when all join at once, %s', async (_when, before) => {
    let heard = 0;
    const backplane = backplaneWith((memory) => ({
      hear(room, listener) {
        heard++;
        return memory.hear(room, listener);
      },
      async history(room) {
        await before();
        return memory.history(room);
      },
    }));
    let clock = 0;
    const enter = chatOn(backplane, () => clock);
    const all = Array.from({ length: 60 }, () => come(enter, 'alice'));
    for (let n = 0; n < 20; n++) {
      clock += 100;
      for (const [socket, { receive }] of all.entries()) receive({ type: 'join', room: `${socket} ${n}` });
    }
    const answers = () => all.flatMap(({ heard }) => heard.filter(({ type }) => type !== 'presence'));
    await expect.poll(() => answers().length).toBe(1200);
    // And the lobby.
    expect(heard).toBe(1001);
    expect(answers().filter(({ error }) => error === 'too_many_rooms')).toHaveLength(200);
  });

  test('leaves its rooms a few at a time', async () => {
    let [atOnce, most, left] = [0, 0, 0];
    const backplane = backplaneWith((memory) => ({
      async depart(room, who) {
        most = Math.max(most, ++atOnce);
        await nextTurn();
        atOnce--;
        left++;
        return memory.depart(room, who);
      },
    }));
    const [alice] = await crowd(backplane, 1);
    alice?.leave();
    await expect.poll(() => left).toBe(100);
    expect(most).toBe(10);
  });
});

/** Two sockets of one user, both of which wait for the store. */
async function joinTwice(backplane: Backplane) {
  const enter = chatOn(backplane);
  const sockets = [come(enter, 'alice'), come(enter, 'alice')] as const;
  for (const { receive } of sockets) receive({ type: 'join' });
  await nextTurn();
  return sockets;
}

test('a user whose two sockets join while the store fails is told so on both, and is there once one tries again', async () => {
  let failing = true;
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const backplane = backplaneWith((memory) => ({
    async arrive(room, who) {
      await answered;
      if (failing) throw new BrokerError('store_unavailable');
      return memory.arrive(room, who);
    },
  }));
  const [first, second] = await joinTwice(backplane);
  resolve();
  await expect.poll(first.types).toEqual(['error']);
  await expect.poll(second.types).toEqual(['error']);
  failing = false;
  second.receive({ type: 'join' });
  await expect.poll(second.types).toEqual(['error', 'joined', 'presence']);
  expect(second.heard[1]).toMatchObject({ members: ['alice'] });
  expect((await backplane.members('lobby')).map(({ sub }) => sub)).toEqual(['alice']);
});

test('a second socket of a user is there no sooner than the first', async () => {
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const backplane = backplaneWith((memory) => ({
    async arrive(room, who) {
      await answered;
      return memory.arrive(room, who);
    },
  }));
  const [first, second] = await joinTwice(backplane);
  expect(second.types()).toEqual([]);
  resolve();
  await expect.poll(second.types).toEqual(['joined', 'presence']);
  expect(second.heard[0]).toMatchObject({ members: ['alice'] });
  expect(first.types()).toEqual(['joined', 'presence']);
});

test('who is renewed with fewer rooms hears the others no more, though the store does not take the departure', async () => {
  let failing = false;
  const backplane = backplaneWith((memory) => ({
    async depart(room, who) {
      if (failing) throw new BrokerError('store_unavailable');
      return memory.depart(room, who);
    },
  }));
  const enter = chatOn(backplane);
  const rooms: { current: string[] | undefined } = { current: undefined };
  const [alice, bob] = [come(enter, 'alice', rooms), come(enter, 'bob')];
  for (const room of ['first', 'secret']) {
    alice.receive({ type: 'join', room });
    bob.receive({ type: 'join', room });
  }
  await expect.poll(() => bob.types().filter((type) => type === 'joined')).toHaveLength(2);
  failing = true;
  rooms.current = ['lobby'];
  alice.renewed();
  await expect.poll(() => alice.types().filter((type) => type === 'left')).toHaveLength(2);
  failing = false;
  bob.receive({ type: 'told', room: 'secret' });
  await expect.poll(bob.types).toContain('told');
  expect(alice.types()).not.toContain('told');
});

test('who is being closed says nothing more, of what is queued either', async () => {
  const enter = chatOn(backplaneWith(() => ({})));
  const bob = come(enter, 'bob');
  const mallory = come(enter, 'mallory', { current: ['lobby'] });
  mallory.receive({ type: 'before' });
  mallory.receive({ type: 'x', room: 'forbidden' });
  mallory.receive({ type: 'after' });
  bob.receive({ type: 'own' });
  await expect.poll(bob.types).toContain('own');
  await expect.poll(() => mallory.closes).toEqual([1008]);
  bob.receive({ type: 'later' });
  await expect.poll(bob.types).toContain('later');
  expect(bob.types()).toContain('before');
  expect(bob.types()).not.toContain('after');
});

test('ten rooms may be joined in a second, and twice as many at once', async () => {
  const alice = come(
    chatOn(
      backplaneWith(() => ({})),
      () => 0,
    ),
    'alice',
  );
  for (let n = 0; n < 21; n++) alice.receive({ type: 'join', room: `room ${n}` });
  await expect.poll(alice.types).toContain('error');
  expect(alice.types().filter((type) => type === 'joined')).toHaveLength(20);
  expect(alice.heard.at(-1)).toMatchObject({ type: 'error', error: 'rate_limited' });
});
