import { describe, expect, test } from 'vitest';
import { Retained } from '../../../src/revocations/retained.ts';
import type { RevocationTarget } from '../../../src/revocations/revocation.ts';
import { memoryFeed } from '../../../src/store/memory-feed.ts';
import { feedContract } from '../../support/feed-contract.ts';

feedContract('memory', async () => memoryFeed({ now: Date.now, retention: 60_000 }), false);

describe('Retained', () => {
  const setUp = () => {
    let now = 1_000_000;
    const retained = new Retained({ now: () => now, retention: 60_000 });
    let next = 0;
    return {
      retained,
      pass: (ms: number) => {
        now += ms;
      },
      add: (target: RevocationTarget) => {
        const rid = `r${++next}`;
        retained.add({ cursor: `c${next}`, revocation: { ...target, rid, at: now / 1000 } });
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

  test('reaches a session and a ticket by name', () => {
    const { retained, add } = setUp();
    add({ session_id: 's' });
    expect(retained.find(alice(999))).toMatchObject({ session_id: 's' });
    const other = setUp();
    other.add({ ticket_id: 't' });
    expect(other.retained.find(alice(999))).toMatchObject({ ticket_id: 't' });
  });

  test('forgets what cannot matter any more', () => {
    const { retained, add, pass } = setUp();
    for (let index = 0; index < 1000; index++) add({ sub: `u${index}`, issued_before: 500 });
    pass(60_000);
    add({ sub: 'alice', issued_before: 500 });
    expect(retained.all()).toHaveLength(1);
    expect(retained.find({ sub: 'u1', auth_time: 1 })).toBeUndefined();
  });
});
