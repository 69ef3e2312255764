import { setImmediate as turnEnds } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type LiveSessionsOptions, liveSessions } from '../../../src/sessions/live-sessions.ts';
import { memoryFeed } from '../../../src/store/memory-feed.ts';
import { memoryRegistry } from '../../../src/store/memory-registry.ts';
import type { Session } from '../../../src/tickets/session.ts';

const now = () => Date.now();
const peer = { ip: '192.0.2.1', origin: undefined, via: 'ws' };

function aSession(name: string): Session {
  const record = { sub: 'alice', username: 'alice', auth_time: now() / 1000, session_ttl: 3600 };
  const exp = Math.floor(now() / 1000) + 3600;
  return { session_id: `session-${name}`, ticket_id: `ticket-${name}`, record, deadline: exp * 1000, exp };
}

function setUp({ maxPerSubject = 0, endSessions = async () => {} }: Partial<LiveSessionsOptions> = {}) {
  const [feed, registry] = [memoryFeed({ now, retention: 60_000 }), memoryRegistry(now)];
  const log = { info() {}, warn: vi.fn(), error() {} };
  const find = vi.spyOn(feed, 'find');
  const sessions = liveSessions({
    now,
    log,
    feed,
    registry,
    recordEnd() {},
    node: 'test',
    maxPerSubject,
    endSessions,
  } satisfies LiveSessionsOptions);
  const enter = (name: string, onExpiring = () => {}) => {
    const ends: [code: number, reason: string][] = [];
    const onEnd = (code: number, reason: string) => ends.push([code, reason]);
    return { live: sessions.enter(aSession(name), peer, { onExpiring, onEnd }), ends };
  };
  const revoke = (target: { session_id: string } | { ticket_id: string }, reason?: string) =>
    feed.publish({ ...target, rid: `${Math.random()}`, at: now() / 1000, ...(reason && { reason }) });
  return { enter, revoke, registry, find, log };
}

test.each([
  ['a'.repeat(124), 'a'.repeat(123)],
  ['ü'.repeat(100), 'ü'.repeat(61)],
  [`a${'😀'.repeat(31)}`, `a${'😀'.repeat(30)}`],
  ['left the company', 'left the company'],
])('of a reason, %j, whole characters go into 123 bytes', async (reason, said) => {
  const { enter, revoke } = setUp();
  const { ends } = enter('a');
  await revoke({ session_id: 'session-a' }, reason);
  expect(ends).toEqual([[3003, said]]);
});

test('a refresh that comes after the connection has gone lists nobody', async () => {
  const { enter, registry } = setUp();
  const { live } = enter('a');
  live.leave(1006);
  live.renew(aSession('b'));
  expect(await registry.ofSubject('alice')).toEqual([]);
});

test.each([
  { session_id: 'session-a' },
  { ticket_id: 'ticket-a' },
  { session_id: 'session-b' },
  { ticket_id: 'ticket-b' },
])('a renewed session is reached by %j', async (target) => {
  const { enter, revoke } = setUp();
  const { live, ends } = enter('a');
  live.renew(aSession('b'));
  await revoke(target);
  expect(ends).toEqual([[3003, 'revoked']]);
});

test.each([
  [{ ticket_id: 'ticket-1' }, 0],
  [{ session_id: 'session-0' }, 1],
  [{ ticket_id: 'ticket-600' }, 1],
  [{ session_id: 'session-1500' }, 1],
])(
  'one that is renewed without end is held by its first name and its latest ones: %j',
  async (target, times) => {
    const { enter, revoke } = setUp();
    const { live, ends } = enter('0');
    for (let n = 1; n <= 1500; n++) live.renew(aSession(`${n}`));
    await revoke(target);
    expect(ends).toHaveLength(times);
  },
);

test('all are looked at once for what comes together, and each is ended once', async () => {
  const { enter, revoke, find } = setUp();
  const [first, second] = [enter('0').ends, enter('1').ends];
  find.mockClear();
  const others = Array.from({ length: 1000 }, (_, n) => revoke({ session_id: `session-${n + 1}` }));
  const again = revoke({ ticket_id: 'ticket-1' });
  await Promise.all([...others, again]);
  expect(find).toHaveBeenCalledTimes(2);
  await revoke({ ticket_id: 'ticket-1' });
  expect([first, second]).toEqual([[], [[3003, 'revoked']]]);
  await revoke({ session_id: 'session-0' });
  expect(first).toEqual([[3003, 'revoked']]);
});

test('one that was revoked before it arrived is reached when it does', async () => {
  const { enter, revoke } = setUp();
  const { live, ends } = enter('a');
  await revoke({ ticket_id: 'ticket-b' });
  expect(ends).toEqual([]);
  live.renew(aSession('b'));
  expect(ends).toEqual([[3003, 'revoked']]);
});

test('a reason that is too long for a close frame is cut, between characters', async () => {
  const { enter, revoke } = setUp();
  const { ends } = enter('a');
  await revoke({ session_id: 'session-a' }, 'お'.repeat(100));
  expect(ends).toEqual([[3003, 'お'.repeat(41)]]);
});

test('the oldest of too many are ended but for what is held elsewhere, and again with the next where that fails', async () => {
  const endSessions = vi.fn<LiveSessionsOptions['endSessions']>().mockRejectedValueOnce(new Error('away'));
  const { enter, registry, log } = setUp({ maxPerSubject: 2, endSessions });
  const { record, exp } = aSession('elsewhere');
  const elsewhere = { ...record, session_id: 'elsewhere', node: 'test', ip: '192.0.2.1', since: 0, exp };
  await registry.add({ ...elsewhere, via: 'verify' });
  const ended = () =>
    endSessions.mock.calls.map(([sessions]) => sessions.map(({ session_id }) => session_id));

  for (const name of ['a', 'b', 'c']) {
    enter(name);
    await turnEnds();
  }
  expect(ended()).toEqual([['session-a']]);
  expect(log.warn.mock.lastCall?.[1]).toBe('a subject may have too many sessions until it begins another');
  enter('d');
  await turnEnds();
  expect(ended()).toEqual([['session-a'], ['session-a', 'session-b']]);
});

test('who is being ended for being too many is not ended again for the next one', async () => {
  const { promise: ending, resolve: done } = Promise.withResolvers<void>();
  const endSessions = vi.fn<LiveSessionsOptions['endSessions']>(() => ending);
  const { enter } = setUp({ maxPerSubject: 1, endSessions });
  for (const name of ['a', 'b', 'c']) {
    enter(name);
    await turnEnds();
  }
  done();
  expect(endSessions.mock.calls.map(([[one], ...more]) => [one?.session_id, more])).toEqual([
    ['session-a', []],
    ['session-b', []],
  ]);
});

test('the oldest are ended also where the newest could not be listed', async () => {
  const endSessions = vi.fn<LiveSessionsOptions['endSessions']>(async () => {});
  const { enter, registry, log } = setUp({ maxPerSubject: 1, endSessions });
  enter('a');
  enter('b');
  await turnEnds();
  endSessions.mockClear();
  vi.spyOn(registry, 'add').mockRejectedValueOnce(new Error('away'));
  enter('c');
  await turnEnds();
  expect(log.warn.mock.lastCall?.[1]).toBe('a session is not listed yet');
  expect(endSessions).toHaveBeenCalledTimes(1);
});

describe('at the same deadline', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('a warning that fails keeps nobody else from being warned, and none from ending', async () => {
    const { enter } = setUp();
    const warned: string[] = [];
    const a = enter('a', () => {
      throw new Error('of the host');
    });
    const b = enter('b', () => warned.push('b'));
    await vi.advanceTimersByTimeAsync(3_600_000 - 59_000);
    expect(warned).toEqual(['b']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([a.ends, b.ends]).toEqual([[[3000, 'session ended']], [[3000, 'session ended']]]);
    // Thirty-six thousand turns of the timetable: five seconds of work on a busy machine.
  }, 60_000);
});
