import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { revokeRemovedUsers } from '../../../src/credentials/removed-users.ts';
import { BrokerError } from '../../../src/errors.ts';

const now = Date.parse('2026-03-01T10:00:00Z');
let stop: () => Promise<void>;
beforeEach(() => {
  vi.useFakeTimers({ now });
});
afterEach(async () => {
  await stop();
  vi.useRealTimers();
});

function watching(...names: string[]) {
  const file = (present: readonly string[]) => new Map(present.map((name) => [name, 'a hash']));
  let users = file(names);
  let reachable = true;
  let answerAfterMs = 0;
  const revoked: unknown[] = [];
  stop = revokeRemovedUsers({
    users: () => users,
    now: Date.now,
    async revoke(target) {
      if (!reachable) throw new BrokerError('store_unavailable');
      revoked.push(target);
      // The fake timers leave node:timers/promises alone.
      if (answerAfterMs > 0) await new Promise((resolve) => setTimeout(resolve, answerAfterMs));
      return { id: '1-0', rid: 'r', target, sessions: 0 };
    },
  });
  return {
    revoked,
    write(...present: string[]) {
      users = file(present);
    },
    reach(redis: boolean) {
      reachable = redis;
    },
    delay(seconds: number) {
      answerAfterMs = seconds * 1000;
    },
    pass: (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000),
  };
}

test('a user who is missing three seconds on end is revoked, once', async () => {
  const { revoked, write, pass } = watching('alice', 'bob');
  write('alice');
  await pass(2);
  expect(revoked).toEqual([]);
  await pass(1);
  expect(revoked).toEqual([{ sub: 'bob', issued_before: now / 1000 + 3 }]);
  await pass(10);
  expect(revoked).toHaveLength(1);
});

test('a file that is still being written revokes nobody', async () => {
  const { revoked, write, pass } = watching('alice', 'bob');
  for (const part of [[], ['alice'], ['alice', 'bob'], [], ['alice', 'bob']]) {
    write(...part);
    await pass(1);
  }
  await pass(10);
  expect(revoked).toEqual([]);
});

test('a revocation that cannot be made is made later, though the user has come back', async () => {
  const { revoked, write, reach, pass } = watching('alice', 'bob');
  reach(false);
  write('alice');
  await pass(3);
  write('alice', 'bob');
  await pass(3);
  reach(true);
  await pass(1);
  expect(revoked).toEqual([{ sub: 'bob', issued_before: now / 1000 + 3 }]);
});

test('a revocation that takes longer than a second is made once', async () => {
  const { revoked, write, delay, pass } = watching('alice', 'bob');
  delay(2.5);
  write('alice');
  await pass(10);
  expect(revoked).toHaveLength(1);
});

test('one who came later is watched, too, and revoked again when removed again', async () => {
  const { revoked, write, pass } = watching('alice');
  for (let times = 1; times <= 2; times++) {
    write('alice', 'carol');
    await pass(1);
    write('alice');
    await pass(3);
    expect(revoked).toHaveLength(times);
  }
});
