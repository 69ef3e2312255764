import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
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

const chatOn = (backplane: Backplane) =>
  createChat({
    backplane,
    now: Date.now,
    randomUUID,
    log: { error: (fields) => expect(fields).toBeUndefined() },
  });

/** Somebody's connection, as live sockets would hand it over. */
function come(enter: Enter, sub: string) {
  const heard: Record<string, unknown>[] = [];
  const closes: number[] = [];
  const record = { sub, username: sub, auth_time: 0, session_ttl: 60 };
  const stay = enter({
    session: { session_id: sub, record, deadline: 0, exp: 0 },
    peer: { ip: '192.0.2.1', origin: undefined, via: 'ws' },
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

test('who leaves while the history is still on its way is nowhere afterwards', async () => {
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  const backplane = backplaneWith((memory) => ({
    async history(room) {
      await answered;
      return memory.history(room);
    },
  }));
  const alice = come(chatOn(backplane), 'alice');
  alice.receive({ type: 'join' });
  alice.leave();
  resolve();
  await nextTurn();
  await nextTurn();
  expect(await backplane.members('lobby')).toEqual([]);
  expect(alice.types()).toEqual([]);
});
