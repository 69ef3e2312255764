import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../../src/store/memory.ts';
import { aClaim, aRecord, aTicketId } from '../../support/records.ts';
import { storeContract } from '../../support/store-contract.ts';

const rooms = new Map<string, Set<string>>();
storeContract(
  'memory',
  async (sub, allowed) => void rooms.set(sub, new Set([...(rooms.get(sub) ?? []), ...allowed])),
  async () => memoryStore({ now: Date.now, rooms }),
);

describe('memory store', () => {
  test('refuses a mint when it is full, and forgets nothing that was spent', async () => {
    const store = memoryStore({ now: Date.now, maxTickets: 2 });
    const [spent, unspent] = [aTicketId(), aTicketId()];
    await store.put(spent, aRecord(), 30_000);
    await store.redeem(spent, aClaim());
    await store.put(unspent, aRecord(), 30_000);
    await expect(store.put(aTicketId(), aRecord(), 30_000)).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    expect(await store.redeem(spent, aClaim())).toMatchObject({ outcome: 'used' });
    expect(await store.redeem(unspent, aClaim())).toMatchObject({ outcome: 'redeemed' });
    await store.close();
  });

  test('has room again when tickets and tombstones have had their time', async () => {
    let now = 0;
    const store = memoryStore({ now: () => now, maxTickets: 1 });
    const id = aTicketId();
    await store.put(id, aRecord(), 1000);
    await store.redeem(id, aClaim());
    now = 61_001;
    expect(await store.put(aTicketId(), aRecord(), 1000)).toBe('stored');
    await store.close();
  });
});
