import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect } from '../../src/store/connection.ts';
import { redisStore } from '../../src/store/redis.ts';
import type { Store } from '../../src/store/store.ts';
import { aClaim, aRecord, aTicketId } from '../support/records.ts';
import { roomSetsIn } from '../support/room-sets.ts';
import { storeContract } from '../support/store-contract.ts';

const prefix = `test-${randomUUID()}:`;
const url = inject('redisUrl');

async function open(): Promise<Store> {
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const connection = connect({
    url,
    commandTimeout: 2000,
    onState: (state) => state === 'connected' && resolve(),
  });
  await connected;
  return redisStore({ connection, prefix, onFault: () => {} });
}

storeContract('Redis', roomSetsIn(url, { prefix }), open, open);

describe('Redis store', () => {
  const redis = new Redis(url);
  let store: Store;
  beforeAll(async () => {
    store = await open();
  });
  afterAll(async () => {
    await store.close();
    redis.disconnect();
  });

  const put = async (id: string, ttlMs = 30_000) => {
    while ((await store.put(id, aRecord(), ttlMs)) !== 'stored');
    return `${prefix}t:{${id[0]}}:${id}`;
  };

  test('keeps a ticket under its hash tag, with a time to live', async () => {
    const key = await put(aTicketId());
    expect(await redis.pttl(key)).toBeGreaterThan(25_000);
  });

  test('lets nobody suffer for a set of rooms that is none, but its own subject', async () => {
    const [broken, whole] = [`alice-${randomUUID()}`, `bob-${randomUUID()}`];
    await redis.set(`${prefix}rooms:${broken}`, 'lobby');
    await redis.sadd(`${prefix}rooms:${whole}`, 'lobby');
    // In one turn, so that one script looks at both.
    const [refused, answered] = await Promise.allSettled([
      store.roomsOf(broken, undefined),
      store.roomsOf(whole, undefined),
    ]);
    expect(refused).toMatchObject({
      reason: { code: 'store_unavailable', reason: 'store: replied WRONGTYPE' },
    });
    expect(answered).toMatchObject({ value: ['lobby'] });
  });

  test('writes nothing under another tenure than the one it last saw', async () => {
    const fresh = await open();
    const id = aTicketId();
    expect(await fresh.put(id, aRecord(), 30_000)).toBe('retry');
    expect(await redis.exists(`${prefix}t:{${id[0]}}:${id}`)).toBe(0);
    expect(await fresh.put(id, aRecord(), 30_000)).toBe('stored');
    await fresh.close();
  });

  test('fences a ticket of another tenure', async () => {
    const id = aTicketId();
    const key = await put(id);
    const value = await redis.get(key);
    await redis.set(key, String(value).replace(/^1 [0-9a-f]{40}/, `1 ${'0'.repeat(40)}`), 'KEEPTTL');
    expect(await store.redeem(id, aClaim())).toEqual({ outcome: 'fenced' });
  });

  test('refuses a ticket past its end even where its key did not expire', async () => {
    let id: string;
    let key: string;
    // Where it has been over before it could be kept, there is another try.
    do {
      id = aTicketId();
      key = await put(id, 50);
    } while ((await redis.persist(key)) === 0);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(await store.redeem(id, aClaim())).toEqual({ outcome: 'expired' });
  });

  test('leaves a tombstone for the rest of the life and a margin', async () => {
    const id = aTicketId();
    const key = await put(id);
    await store.redeem(id, aClaim({ sessionId: 'the-session' }));
    expect(await redis.get(key)).toBe('Uthe-session');
    const left = await redis.pttl(key);
    expect(left).toBeGreaterThan(85_000);
    expect(left).toBeLessThanOrEqual(90_000);
  });

  test('gives a counter that lost its time to live a new one', async () => {
    await store.count('stuck', 1000);
    await redis.persist(`${prefix}c:stuck`);
    expect(await store.count('stuck', 1000)).toMatchObject({ count: 2, resetMs: expect.closeTo(1000, -2) });
  });

  test('what is kept in place of a set of rooms, and is none, allows nobody anything', async () => {
    await redis.set(`${prefix}rooms:mistaken`, 'lobby');
    for (const asked of [undefined, ['lobby']]) {
      await expect(store.roomsOf('mistaken', asked)).rejects.toMatchObject({ code: 'store_unavailable' });
    }
  });

  test('a value that it does not understand opens nothing', async () => {
    for (const value of ['', '2 future', 'garbage', '{"sub":"alice"}']) {
      const id = aTicketId();
      await redis.set(`${prefix}t:{${id[0]}}:${id}`, value, 'PX', 5000);
      expect(await store.redeem(id, aClaim())).toEqual({ outcome: 'fenced' });
    }
  });
});
