import { hash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { issueToken } from '../../../src/credentials/own-tokens.ts';
import { keysFromSecrets } from '../../../src/credentials/signing-keys.ts';
import { BrokerError } from '../../../src/errors.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import type { Store } from '../../../src/store/store.ts';
import { ticketId } from '../../../src/tickets/ticket.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { aClaim } from '../../support/records.ts';

const secret = 's'.repeat(32);
const serviceKey = 'the-key-of-a-backend';

describe('the rooms of a ticket', () => {
  const sets = new Map<string, Set<string>>();
  let store: Store;
  let broker: TestApp;
  beforeEach(async () => {
    sets.clear();
    const file = join(mkdtempSync(join(tmpdir(), 'keys-')), 'keys');
    writeFileSync(file, `backend:${hash('sha256', serviceKey, 'hex')}:tickets:mint`);
    store = memoryStore({ now: Date.now, rooms: sets });
    vi.spyOn(store, 'roomsOf');
    broker = await testApp({ store, env: { JWT_SECRET: secret, SERVICE_KEYS_FILE: file } });
  });
  afterEach(async () => {
    await broker.close();
    await store.close();
  });

  const tokenOf = async (user: { sub?: string; rooms?: string[] } = {}) => {
    const now = Date.now() / 1000;
    const [keys, alice] = [await keysFromSecrets([secret]), { sub: 'alice', username: 'alice' }];
    return issueToken({ keys, now: Date.now }, { ...alice, auth_time: now, exp: now + 60, ...user });
  };
  const mint = (token: string, payload: object) =>
    broker.app.inject({
      method: 'POST',
      url: '/tickets',
      headers: { authorization: `Bearer ${token}` },
      payload,
    });
  /** The rooms of the ticket that comes of it. */
  const minted = async (token: string, payload: object = {}): Promise<readonly string[] | undefined> => {
    const answer = await mint(token, payload);
    expect(answer.statusCode).toBe(201);
    const redemption = await store.redeem(ticketId(answer.json().ticket), aClaim());
    return redemption.outcome === 'redeemed' ? redemption.record.rooms : expect.fail(redemption.outcome);
  };
  const refused = async (token: string, payload: object, status: number, description: string) => {
    const answer = await mint(token, payload);
    const error = status === 403 ? 'room_forbidden' : 'invalid_request';
    expect([answer.statusCode, answer.json()]).toEqual([status, { error, error_description: description }]);
  };

  test('are any, where neither the token nor a set says otherwise', async () => {
    const token = await tokenOf();
    expect(await minted(token)).toBeUndefined();
    expect(await minted(token, { rooms: ['lobby'] })).toEqual(['lobby']);
    expect(await minted(token, { rooms: [] })).toEqual([]);
  });

  describe('by the claim of the token', () => {
    test('are all of its rooms, or fewer', async () => {
      const token = await tokenOf({ rooms: ['lobby', 'tech'] });
      expect(await minted(token)).toEqual(['lobby', 'tech']);
      expect(await minted(token, { rooms: ['tech'] })).toEqual(['tech']);
      expect(await minted(token, { rooms: [] })).toEqual([]);
      expect(await minted(await tokenOf({ rooms: [] }))).toEqual([]);
    });

    test('are never more', async () => {
      const token = await tokenOf({ rooms: ['lobby'] });
      const wish = { rooms: ['lobby', 'attic', 'cellar'] };
      await refused(token, wish, 403, 'The room attic is not among those allowed.');
      await refused(
        await tokenOf({ rooms: [] }),
        { rooms: ['lobby'] },
        403,
        expect.stringContaining('lobby'),
      );
    });

    test('do not depend on the set, which is not looked at', async () => {
      sets.set('alice', new Set(['attic']));
      expect(await minted(await tokenOf({ rooms: ['lobby'] }))).toEqual(['lobby']);
      expect(store.roomsOf).not.toHaveBeenCalled();
    });
  });

  describe('by the set', () => {
    beforeEach(() => void sets.set('alice', new Set(['lobby', 'tech'])));

    test('are all of its rooms, or fewer', async () => {
      const token = await tokenOf();
      expect(await minted(token)).toEqual(['lobby', 'tech']);
      expect(await minted(token, { rooms: ['tech'] })).toEqual(['tech']);
      expect(await minted(token, { rooms: [] })).toEqual([]);
    });

    test('are never more, and the log says why', async () => {
      const wish = { rooms: ['lobby', 'attic', 'cellar'] };
      await refused(await tokenOf(), wish, 403, 'The room attic is not among those allowed.');
      expect(broker.decisions()).toMatchObject([
        { decision: 'mint', granted: false, reason: 'room_forbidden', sub: 'alice' },
      ]);
    });

    test('are none, where nothing in it is a room', async () => {
      sets.set('alice', new Set(['']));
      expect(await minted(await tokenOf())).toEqual([]);
      await refused(await tokenOf(), { rooms: ['lobby'] }, 403, expect.stringContaining('lobby'));
    });

    test('must be named where it holds more than a ticket takes', async () => {
      sets.set('alice', new Set(Array.from({ length: 101 }, (_, index) => `room ${index}`)));
      await refused(await tokenOf(), {}, 400, 'rooms must be named: more than 100 are allowed.');
      expect(broker.decisions()).toMatchObject([{ granted: false, reason: 'too_many_rooms' }]);
      expect(await minted(await tokenOf(), { rooms: ['room 100'] })).toEqual(['room 100']);
    });

    test('are not looked up for a ticket that asks for none', async () => {
      expect(await minted(await tokenOf(), { rooms: [] })).toEqual([]);
      expect(store.roomsOf).not.toHaveBeenCalled();
    });

    test('are those of nobody else', async () => {
      expect(await minted(await tokenOf({ sub: 'bob' }))).toBeUndefined();
    });

    test('do not bind a backend, which says itself where its users may go', async () => {
      expect(await minted(serviceKey, { sub: 'alice', rooms: ['attic'] })).toEqual(['attic']);
      expect(await minted(serviceKey, { sub: 'alice' })).toBeUndefined();
      expect(store.roomsOf).not.toHaveBeenCalled();
    });
  });

  test('are read while the limits count, and are no reason to wait longer', async () => {
    const both = Promise.withResolvers<void>();
    const begun = new Set<string>();
    const begin = (name: string) => {
      if (begun.add(name).size === 2) both.resolve();
      return both.promise;
    };
    const { count, roomsOf } = store;
    store.count = async (...args) => begin('count').then(() => count(...args));
    store.roomsOf = async (...args) => begin('roomsOf').then(() => roomsOf(...args));
    expect(await minted(await tokenOf())).toBeUndefined();
  });

  test('cannot be told while the store is away, which is no refusal', async () => {
    vi.mocked(store.roomsOf).mockRejectedValue(new BrokerError('store_unavailable'));
    const answer = await mint(await tokenOf(), { rooms: ['lobby'] });
    expect([answer.statusCode, answer.json().error]).toEqual([503, 'store_unavailable']);
    expect(answer.headers['retry-after']).toBe('1');
  });

  test('are not told to whoever asks too often', async () => {
    const limited = await testApp({ store, env: { JWT_SECRET: secret, MINT_LIMIT: '1' } });
    sets.set('alice', new Set(['lobby']));
    const ask = async () =>
      limited.app.inject({
        method: 'POST',
        url: '/tickets',
        headers: { authorization: `Bearer ${await tokenOf()}` },
        payload: { rooms: ['attic'] },
      });
    expect((await ask()).statusCode).toBe(403);
    expect((await ask()).statusCode).toBe(429);
    await limited.close();
  });
});
