import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { User } from '../../../src/credentials/caller.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import type { Store } from '../../../src/store/store.ts';
import { type TokenSession, tokenSessions } from '../../../src/ws/token-sessions.ts';

describe('the rooms of a session that was opened by a token', () => {
  const sets = new Map<string, Set<string>>();
  let user: User;
  let store: Store;
  let open: TokenSession;
  beforeEach(() => {
    sets.clear();
    user = { kind: 'user', sub: 'alice', username: 'alice', auth_time: 1, exp: Date.now() / 1000 + 60 };
    store = memoryStore({ now: Date.now, rooms: sets });
    open = tokenSessions({
      authenticate: async () => user,
      store,
      feed: { current: true, find: () => undefined },
      attempts: undefined,
      sessionTtl: 60,
      now: Date.now,
      randomBytes,
    });
  });
  afterEach(() => store.close());

  const roomsOf = async (room?: string) =>
    (await open('a token', { address: '192.0.2.1', room })).record.rooms;

  test('are any, where neither the token nor a set says otherwise', async () => {
    expect(await roomsOf()).toBeUndefined();
    expect(await roomsOf('lobby')).toBeUndefined();
  });

  test('are those of the claim, whichever of them is asked for', async () => {
    user = { ...user, rooms: ['lobby', 'tech'] };
    expect(await roomsOf()).toEqual(['lobby', 'tech']);
    expect(await roomsOf('tech')).toEqual(['lobby', 'tech']);
    await expect(roomsOf('attic')).rejects.toMatchObject({ code: 'room_forbidden' });
  });

  test('are those of the set, whichever of them is asked for', async () => {
    sets.set('alice', new Set(['lobby', 'tech']));
    expect(await roomsOf()).toEqual(['lobby', 'tech']);
    expect(await roomsOf('tech')).toEqual(['lobby', 'tech']);
    await expect(roomsOf('attic')).rejects.toMatchObject({ code: 'room_forbidden' });
  });

  test('are the one that is asked for, where the set holds more than a ticket takes', async () => {
    sets.set('alice', new Set(Array.from({ length: 101 }, (_, index) => `room ${index}`)));
    expect(await roomsOf('room 100')).toEqual(['room 100']);
    await expect(roomsOf('attic')).rejects.toMatchObject({ code: 'room_forbidden' });
    await expect(roomsOf()).rejects.toMatchObject({ code: 'invalid_request', reason: 'too_many_rooms' });
  });
});
