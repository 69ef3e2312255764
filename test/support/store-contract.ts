import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Allowance, Redemption, Store } from '../../src/store/store.ts';
import type { TicketRecord } from '../../src/tickets/record.ts';
import { aClaim, aRecord, aTicketId } from './records.ts';
import type { AllowRooms } from './room-sets.ts';

/** Opens another view of the same store: another process of the same deployment, where the driver has such a thing. */
export type OpenStore = () => Promise<Store>;

/** What every store driver does. Expiry is waited for, by the store's own clock. */
export function storeContract(
  driver: string,
  allow: AllowRooms,
  open: OpenStore,
  openAnother: OpenStore = open,
): void {
  describe(`${driver} store`, () => {
    let store: Store;
    let another: Store;
    beforeAll(async () => {
      store = await open();
      another = openAnother === open ? store : await openAnother();
    });
    afterAll(async () => {
      await store.close();
      await another.close();
    });

    /** Puts until it is stored, as `mint` does. */
    const put = async (record: TicketRecord = aRecord(), ttlMs = 30_000): Promise<string> => {
      for (let tries = 0; tries < 200; tries++) {
        const id = aTicketId();
        if ((await store.put(id, record, ttlMs)) === 'stored') return id;
      }
      throw new Error('the store keeps refusing');
    };

    describe('redeem', () => {
      test('answers the whole record, once', async () => {
        const record = aRecord({
          rooms: ['lobby', 'a room with spaces', '🎟'],
          context: { nested: [1, 'two', null, { three: '\n\t"\u2028' }] },
          aud: 'chat',
          origin: 'https://app.example',
          ip: '192.0.2.1',
          minted_by: 'backend',
        });
        const id = await put(record);
        const claim = aClaim({
          aud: 'chat',
          origin: 'https://app.example',
          addresses: ['192.0.2.1'],
          room: '🎟',
        });

        const first = await store.redeem(id, claim);
        expect(first).toEqual({
          outcome: 'redeemed',
          record,
          sessionId: claim.sessionId,
          ageMs: expect.any(Number),
          at: expect.closeTo(Date.now(), -4),
        });
        expect(await another.redeem(id, aClaim())).toEqual({ outcome: 'used', sessionId: claim.sessionId });
      });

      test('keeps an absent list of rooms apart from an empty one', async () => {
        const any = await store.redeem(await put(aRecord()), aClaim());
        const none = await store.redeem(await put(aRecord({ rooms: [] })), aClaim());
        expect(any).toMatchObject({ record: expect.not.objectContaining({ rooms: expect.anything() }) });
        expect(none).toMatchObject({ record: { rooms: [] } });
      });

      test('lets one of many at once win', async () => {
        for (let round = 0; round < 20; round++) {
          const id = await put();
          const answers = await Promise.all(
            Array.from({ length: 50 }, (_, index) => (index % 2 ? store : another).redeem(id, aClaim())),
          );
          const winners = answers.filter(({ outcome }) => outcome === 'redeemed');
          expect(winners).toHaveLength(1);
          expect(answers.filter(({ outcome }) => outcome === 'used')).toHaveLength(49);
        }
      });

      test('does not know what was never put', async () => {
        expect(await store.redeem(aTicketId(), aClaim())).toEqual({ outcome: 'unknown' });
      });

      test('refuses a ticket whose time is over', async () => {
        const id = await put(aRecord(), 60);
        await sleep(120);
        const { outcome } = await store.redeem(id, aClaim());
        expect(['expired', 'unknown']).toContain(outcome);
      });

      test('tells the age of the ticket', async () => {
        const id = await put();
        await sleep(60);
        const answer = await store.redeem(id, aClaim());
        expect(answer.outcome === 'redeemed' && answer.ageMs).toBeGreaterThanOrEqual(55);
      });

      test.each([
        ['aud', { aud: 'chat' }, { aud: 'games' }, { aud: 'chat' }],
        ['aud', { aud: 'chat' }, {}, { aud: 'chat' }],
        [
          'origin',
          { origin: 'https://a.example' },
          { origin: 'https://b.example' },
          { origin: 'https://a.example' },
        ],
        ['origin', { origin: 'https://a.example' }, {}, { origin: 'https://a.example' }],
        ['ip', { ip: '192.0.2.1' }, { addresses: ['192.0.2.10'] }, { addresses: ['192.0.2.1'] }],
        [
          'ip',
          { ip: '192.0.2.0/24' },
          { addresses: ['192.0.2.0'] },
          { addresses: ['192.0.2.9', '192.0.2.0/24'] },
        ],
        ['room', { rooms: ['a.b'] }, { room: 'aXb' }, { room: 'a.b' }],
        ['room', { rooms: ['lobby', 'tech'] }, { room: 'lob' }, { room: 'tech' }],
      ] as const)(
        'leaves a ticket unspent when its %s does not fit',
        async (misfit, record, wrong, right) => {
          const id = await put(aRecord(record));
          expect(await store.redeem(id, aClaim(wrong))).toEqual({ outcome: 'misfit', misfit });
          expect(await store.redeem(id, aClaim(right))).toMatchObject({ outcome: 'redeemed' });
        },
      );

      test('never fits a room into an empty list', async () => {
        const id = await put(aRecord({ rooms: [] }));
        expect(await store.redeem(id, aClaim({ room: 'lobby' }))).toEqual({
          outcome: 'misfit',
          misfit: 'room',
        });
      });

      test('checks nothing that the record does not bind', async () => {
        const claim = aClaim({ aud: 'x', origin: 'https://x.example', addresses: ['192.0.2.1'], room: 'x' });
        expect(await store.redeem(await put(), claim)).toMatchObject({ outcome: 'redeemed' });
      });

      test('does not look at the address when the claim names none', async () => {
        const id = await put(aRecord({ ip: '192.0.2.1' }));
        expect(await store.redeem(id, aClaim())).toMatchObject({ outcome: 'redeemed' });
      });
    });

    describe('attempts', () => {
      const allowed = (over: Partial<Allowance> = {}): Allowance => ({
        counter: `test:${aTicketId()}`,
        limit: 5,
        windowMs: 10_000,
        counting: 'failed',
        ...over,
      });
      const outcomesOf = async (redemptions: Promise<Redemption>[]) => {
        const tally: Record<string, number> = {};
        for (const { outcome } of await Promise.all(redemptions)) tally[outcome] = (tally[outcome] ?? 0) + 1;
        return tally;
      };
      const guesses = (count: number, allowance: Allowance) =>
        Array.from({ length: count }, () => store.redeem(aTicketId(), aClaim(), allowance));

      test('that fail are counted, and beyond the limit even a good ticket is left alone', async () => {
        const allowance = allowed();
        expect(await outcomesOf(guesses(5, allowance))).toEqual({ unknown: 5 });
        const id = await put();
        expect(await another.redeem(id, aClaim(), allowance)).toEqual({
          outcome: 'limited',
          resetMs: expect.closeTo(10_000, -4),
        });
        expect(await another.redeem(id, aClaim(), allowed())).toMatchObject({ outcome: 'redeemed' });
      });

      test('that are made at once get no more answers than in a row', async () => {
        expect(await outcomesOf(guesses(200, allowed()))).toEqual({ unknown: 5, limited: 195 });
      });

      test('that succeed do not count, however many come at once', async () => {
        const allowance = allowed();
        const ids = await Promise.all(Array.from({ length: 50 }, () => put()));
        expect(await outcomesOf(ids.map((id) => store.redeem(id, aClaim(), allowance)))).toEqual({
          redeemed: 50,
        });
        expect(await store.counted(allowance.counter)).toMatchObject({ count: 0 });
      });

      test('count for a used ticket, and for one that does not fit', async () => {
        const allowance = allowed({ limit: 2 });
        const id = await put(aRecord({ aud: 'chat' }));
        await store.redeem(id, aClaim(), allowance);
        await store.redeem(id, aClaim({ aud: 'chat' }), allowance);
        await store.redeem(id, aClaim({ aud: 'chat' }), allowance);
        expect(await store.redeem(id, aClaim(), allowance)).toMatchObject({ outcome: 'limited' });
      });

      test('all count where that is asked for', async () => {
        const allowance = allowed({ counting: 'all' });
        const ids = await Promise.all(Array.from({ length: 7 }, () => put()));
        expect(await outcomesOf(ids.map((id) => store.redeem(id, aClaim(), allowance)))).toEqual({
          redeemed: 5,
          limited: 2,
        });
      });

      test('may be made again when the window is over', async () => {
        const allowance = allowed({ limit: 1, windowMs: 100 });
        await store.redeem(aTicketId(), aClaim(), allowance);
        await sleep(150);
        expect(await store.redeem(await put(), aClaim(), allowance)).toMatchObject({ outcome: 'redeemed' });
      });
    });

    describe('asking again', () => {
      // Longer than a busy machine may keep us from asking again.
      const repeat = { asker: 'proxy one:request 7', withinMs: 10_000 };

      test('gives the same asker the same answer, and anyone else none', async () => {
        const record = aRecord({ rooms: ['a room'], context: 'x\ny' });
        const id = await put(record);
        const first = await store.redeem(id, aClaim({ repeat }));
        expect(first).toMatchObject({ outcome: 'redeemed', record });
        await sleep(20);
        expect(await another.redeem(id, aClaim({ repeat }))).toEqual(first);
        const others = [aClaim(), aClaim({ repeat: { ...repeat, asker: 'proxy one:request 8' } })];
        for (const claim of others) {
          expect(await another.redeem(id, claim)).toMatchObject({ outcome: 'used' });
        }
      });

      test('is over after a while', async () => {
        const brief = { ...repeat, withinMs: 300 };
        const id = await put();
        await store.redeem(id, aClaim({ repeat: brief }));
        await sleep(350);
        expect(await store.redeem(id, aClaim({ repeat: brief }))).toMatchObject({ outcome: 'used' });
      });

      test('does not make an answer of a refusal', async () => {
        const id = await put(aRecord({ aud: 'chat' }));
        expect(await store.redeem(id, aClaim({ repeat }))).toMatchObject({ outcome: 'misfit' });
        expect(await store.redeem(id, aClaim({ repeat, aud: 'chat' }))).toMatchObject({
          outcome: 'redeemed',
        });
      });
    });

    describe('put', () => {
      test('never writes over a ticket, spent or not', async () => {
        const id = await put(aRecord({ sub: 'first' }));
        expect(await store.put(id, aRecord({ sub: 'second' }), 30_000)).toBe('retry');
        expect(await store.redeem(id, aClaim())).toMatchObject({ record: { sub: 'first' } });
        expect(await store.put(id, aRecord({ sub: 'late' }), 30_000)).toBe('retry');
        expect(await store.redeem(id, aClaim())).toMatchObject({ outcome: 'used' });
      });
    });

    describe('revoke', () => {
      test.each([
        ['its subject', { sub: 'alice' }],
        ['the key that minted it', { key: 'backend' }],
        ['its holder', 'holder'],
      ] as const)('takes a ticket back for %s', async (_who, by) => {
        const id = await put(aRecord({ minted_by: 'backend' }));
        expect(await store.revoke(id, by)).toEqual({ outcome: 'revoked' });
        expect(await store.revoke(id, by)).toEqual({ outcome: 'revoked' });
        expect(await another.redeem(id, aClaim())).toEqual({ outcome: 'revoked' });
      });

      test.each([
        ['another user', { sub: 'mallory' }],
        ['nobody', { sub: '' }],
        ['another key', { key: 'other' }],
        ['a key, where no key minted it', { key: '' }],
      ])('refuses %s and leaves the ticket as it was', async (_who, by) => {
        const id = await put();
        expect(await store.revoke(id, by)).toEqual({ outcome: 'forbidden' });
        expect(await store.redeem(id, aClaim())).toMatchObject({ outcome: 'redeemed' });
      });

      test('names the session that a spent ticket opened', async () => {
        const id = await put();
        const { sessionId } = aClaim();
        await store.redeem(id, { sessionId });
        expect(await store.revoke(id, 'holder')).toEqual({ outcome: 'used', sessionId });
      });

      test('knows nothing of an unknown ticket', async () => {
        expect(await store.revoke(aTicketId(), 'holder')).toEqual({ outcome: 'unknown' });
      });
    });

    describe('fateOf', () => {
      test('tells whether a ticket is unused, and leaves it so', async () => {
        const id = await put(aRecord({ sub: 'U', aud: 'R' }));
        for (const asked of [store, another]) expect(await asked.fateOf(id)).toEqual({ outcome: 'unused' });
        expect(await store.redeem(id, aClaim({ aud: 'R' }))).toMatchObject({ outcome: 'redeemed' });
      });

      test('names the session that a used ticket opened', async () => {
        const id = await put();
        const { sessionId } = aClaim();
        await store.redeem(id, { sessionId });
        expect(await another.fateOf(id)).toEqual({ outcome: 'used', sessionId });
      });

      test('tells that a ticket was taken back', async () => {
        const id = await put();
        await store.revoke(id, 'holder');
        expect(await another.fateOf(id)).toEqual({ outcome: 'revoked' });
      });

      test('knows nothing of a ticket that never was, or whose time is over', async () => {
        expect(await store.fateOf(aTicketId())).toEqual({ outcome: 'unknown' });
        const id = await put(aRecord(), 60);
        await expect.poll(() => store.fateOf(id)).toEqual({ outcome: 'unknown' });
      });
    });

    describe('count', () => {
      test('counts for all, from one, within a window that does not move', async () => {
        const key = `test:${aTicketId()}`;
        expect(await store.counted(key)).toEqual({ count: 0, resetMs: 0 });
        const first = await store.count(key, 30_000);
        await sleep(50);
        const second = await another.count(key, 30_000);
        expect([first.count, second.count]).toEqual([1, 2]);
        expect(second.resetMs).toBeLessThan(first.resetMs);
        expect(await store.counted(key)).toMatchObject({ count: 2 });
      });

      test('begins anew when the window is over', async () => {
        const key = `test:${aTicketId()}`;
        await store.count(key, 100);
        await sleep(150);
        expect(await store.counted(key)).toEqual({ count: 0, resetMs: 0 });
        expect(await store.count(key, 100)).toMatchObject({ count: 1 });
      });

      test('loses none of many at once', async () => {
        const key = `test:${aTicketId()}`;
        const counts = await Promise.all(Array.from({ length: 200 }, () => store.count(key, 10_000)));
        expect(counts.map(({ count }) => count).sort((a, b) => a - b)).toEqual(
          Array.from({ length: 200 }, (_, index) => index + 1),
        );
      });
    });

    describe('roomsOf', () => {
      const aSubject = () => `subject-${aTicketId()}`;

      test('answers any where nobody keeps a set', async () => {
        expect(await store.roomsOf(aSubject(), undefined)).toBe('any');
        expect(await store.roomsOf(aSubject(), ['lobby'])).toBe('any');
      });

      test('answers those asked for that are in the set, as they were asked for', async () => {
        const sub = aSubject();
        await allow(sub, ['lobby', 'tech', 'a room with spaces', '🎟']);
        expect(await store.roomsOf(sub, ['tech', 'attic', '🎟', 'lobb'])).toEqual(['tech', '🎟']);
        expect(await another.roomsOf(sub, ['attic'])).toEqual([]);
      });

      test('answers the whole set when nothing is asked for', async () => {
        const sub = aSubject();
        await allow(sub, ['lobby', 'tech']);
        expect([...(await store.roomsOf(sub, undefined))].sort()).toEqual(['lobby', 'tech']);
        await allow(sub, ['attic']);
        expect([...(await another.roomsOf(sub, undefined))].sort()).toEqual(['attic', 'lobby', 'tech']);
      });

      test('copies no set that is larger than a ticket takes, and still looks into it', async () => {
        const sub = aSubject();
        const rooms = Array.from({ length: 101 }, (_, index) => `room ${index}`);
        await allow(sub, rooms.slice(1));
        expect(await store.roomsOf(sub, undefined)).toHaveLength(100);
        await allow(sub, rooms);
        expect(await store.roomsOf(sub, undefined)).toBe('too_many');
        expect(await store.roomsOf(sub, rooms.slice(1))).toEqual(rooms.slice(1));
      });

      test('tells a set that holds no room from none', async () => {
        const sub = aSubject();
        await allow(sub, ['']);
        expect(await store.roomsOf(sub, undefined)).toEqual([]);
        expect(await store.roomsOf(sub, ['lobby'])).toEqual([]);
      });

      test('leaves out what is not the name of a room', async () => {
        const sub = aSubject();
        await allow(sub, ['lobby', 'a\tb', 'a\nb', 'x'.repeat(129)]);
        expect(await store.roomsOf(sub, undefined)).toEqual(['lobby']);
      });

      test.each(['{x}', 'a:b', 'rooms:{', 'Zoë 🎟', '*'])(
        'keeps %j apart from other subjects',
        async (name) => {
          const sub = `${name}${aSubject()}`;
          await allow(sub, ['lobby']);
          expect(await store.roomsOf(sub, undefined)).toEqual(['lobby']);
          expect(await store.roomsOf(sub.slice(0, -1), undefined)).toBe('any');
        },
      );
    });

    test('check resolves while the store is there', async () => {
      await store.check();
    });
  });
}
