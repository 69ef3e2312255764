import { describe, expect, test } from 'vitest';
import { Retained } from '../../../src/revocations/retained.ts';
import type { RevocationTarget } from '../../../src/revocations/revocation.ts';
import { memoryFeed } from '../../../src/store/memory-feed.ts';
import { feedContract } from '../../support/feed-contract.ts';

feedContract('memory', async () => memoryFeed({ now: Date.now, retention: 60_000 }), false);

describe('Retained', () => {
  const setUp = (retentions: { retention: number; sessionRetention?: number } = { retention: 60_000 }) => {
    let now = 1_000_000;
    const retained = new Retained({ now: () => now, ...retentions });
    let next = 0;
    return {
      retained,
      pass: (ms: number) => {
        now += ms;
      },
      add: (target: RevocationTarget) => {
        const rid = `r${++next}`;
        retained.add({ cursor: `c${next}`, revocation: { ...target, rid, at: 1000 } });
      },
    };
  };
  const alice = (auth_time: number) => ({ sub: 'alice', auth_time, session_id: 's', ticket_id: 't' });

  test('reaches what was authenticated up to the moment, and nothing later', () => {
    const { retained, add } = setUp();
    add({ sub: 'alice', issued_before: 500.25 });
    expect(retained.find(alice(500.25))).toBeDefined();
    expect(retained.find(alice(500.251))).toBeUndefined();
    expect(retained.find({ sub: 'bob', auth_time: 1 })).toBeUndefined();
  });

  test('keeps the later of two moments, in whichever order they arrive', () => {
    const { retained, add } = setUp();
    add({ sub: 'alice', issued_before: 500 });
    add({ sub: 'alice', issued_before: 400 });
    expect(retained.find(alice(450))).toBeDefined();
  });

  test('has the order in which the feed brings it last, and tells nobody twice', () => {
    const { retained } = setUp();
    const told: string[] = [];
    retained.follow(({ revocation }) => told.push(revocation.rid));
    const entry = (cursor: string, rid: string) => ({
      cursor,
      revocation: { sub: rid, issued_before: 500, rid, at: 1000 },
    });
    for (const [cursor, rid] of [
      ['1-1', 'lacking'],
      ['1-2', 'kept'],
      ['2-2', 'kept'],
      ['2-3', 'new'],
      ['2-4', 'lacking'],
    ] as const)
      retained.add(entry(cursor, rid));
    expect(told).toEqual(['lacking', 'kept', 'new']);
    expect(retained.since('2-3').map(({ revocation }) => revocation.rid)).toEqual(['lacking']);
    expect(retained.since('2-4')).toEqual([]);
    expect(retained.since('1-2')).toHaveLength(3);
  });

  test('reaches a session and a ticket by name', () => {
    const { retained, add } = setUp();
    add({ session_id: 's' });
    expect(retained.find(alice(999))).toMatchObject({ session_id: 's' });
    const other = setUp();
    other.add({ ticket_id: 't' });
    expect(other.retained.find(alice(999))).toMatchObject({ ticket_id: 't' });
  });

  test('keeps what is put back no longer than what stayed', () => {
    const { retained, add, pass } = setUp();
    add({ sub: 'alice', issued_before: 500 });
    const [entry] = retained.all();
    pass(59_999);
    retained.add(entry ?? expect.fail());
    pass(1);
    expect(retained.all()).toEqual([]);
    expect(retained.find(alice(500))).toBeUndefined();
  });

  test('goes by no clock on the wall', () => {
    const { retained } = setUp();
    for (const at of [0, 1e10]) {
      retained.add({
        cursor: `${at}`,
        revocation: { sub: `at ${at}`, issued_before: 500, rid: `${at}`, at },
      });
    }
    expect(retained.all()).toHaveLength(2);
  });

  test('forgets what cannot matter any more', () => {
    const { retained, add, pass } = setUp();
    for (let index = 0; index < 1000; index++) add({ sub: `u${index}`, issued_before: 500 });
    pass(60_000);
    add({ sub: 'alice', issued_before: 500 });
    expect(retained.all()).toHaveLength(1);
    expect(retained.find({ sub: 'u1', auth_time: 1 })).toBeUndefined();
  });

  describe('what is of one session or one ticket', () => {
    const brief = { retention: 60_000, sessionRetention: 10_000 };
    const rids = (retained: Retained) => retained.all().map(({ revocation }) => revocation.rid);

    test('is forgotten when no such session can last any more, among others that stay', () => {
      const { retained, add, pass } = setUp(brief);
      add({ sub: 'alice', issued_before: 500 });
      add({ session_id: 's' });
      add({ ticket_id: 't' });
      add({ sub: 'bob', issued_before: 500 });
      pass(9999);
      expect(rids(retained)).toEqual(['r1', 'r2', 'r3', 'r4']);
      expect(retained.find(alice(999))).toMatchObject({ rid: 'r2' });
      pass(1);
      expect(rids(retained)).toEqual(['r1', 'r4']);
      expect(retained.find(alice(999))).toBeUndefined();
      expect(retained.find(alice(500))).toMatchObject({ rid: 'r1' });
    });

    test('is not taken up again when the feed is read from its beginning, and nobody is told', () => {
      const { retained, add, pass } = setUp(brief);
      add({ session_id: 's' });
      const [entry] = retained.all();
      pass(10_000);
      expect(retained.all()).toEqual([]);
      let told = 0;
      retained.follow(() => told++);
      retained.add(entry ?? expect.fail(), 10_000);
      expect([rids(retained), told]).toEqual([[], 0]);
    });

    test('stays until the later end where it is revoked twice', () => {
      const { retained, add, pass } = setUp(brief);
      add({ session_id: 's' });
      add({ session_id: 'other' });
      pass(5000);
      add({ session_id: 's' });
      pass(5000);
      add({ sub: 'bob', issued_before: 500 });
      expect(retained.find(alice(999))).toMatchObject({ rid: 'r3' });
      expect(retained.find({ ...alice(999), session_id: 'other' })).toBeUndefined();
      pass(5000);
      add({ sub: 'bob', issued_before: 501 });
      expect(retained.find(alice(999))).toBeUndefined();
    });

    test('being the latest, is resumed at even when it is forgotten', () => {
      const { retained, add, pass } = setUp(brief);
      add({ sub: 'alice', issued_before: 500 });
      add({ session_id: 's' });
      pass(10_000);
      expect(retained.since('c2')).toEqual([]);
      expect(retained.since('c1')).toEqual([]);
      add({ sub: 'bob', issued_before: 500 });
      expect(retained.since('c1').map(({ cursor }) => cursor)).toEqual(['c3']);
      expect(retained.since('another').map(({ cursor }) => cursor)).toEqual(['c1', 'c3']);
    });
  });
});
