import { expect, test, vi } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { revoker } from '../../../src/revocations/revoke.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import { memoryFeed } from '../../../src/store/memory-feed.ts';
import { memoryRegistry } from '../../../src/store/memory-registry.ts';

const now = Date.now;
const down = async () => {
  throw new BrokerError('store_unavailable', { reason: 'store: replied CLUSTERDOWN' });
};

test.each([
  [
    { sub: 'alice', issued_before: now() / 1000 },
    { sub: 'alice', auth_time: now() / 1000 - 10 },
  ],
  [{ session_id: 'one' }, { sub: 'bob', auth_time: 0, session_id: 'one' }],
])('%j is revoked also where the sessions cannot be counted', async (target, reached) => {
  const feed = memoryFeed({ now, retention: 60_000 });
  const registry = { ...memoryRegistry(now), ofSubject: down, find: down };
  const revoke = revoker({ store: memoryStore({ now }), feed, registry, now });
  expect(await revoke(target, 'left')).toMatchObject({ target, sessions: 0 });
  expect(feed.find(reached)).toMatchObject({ reason: 'left' });
});

test('a session that is revoked again and again is said once, also while that is on its way, and again where it failed', async () => {
  const feed = memoryFeed({ now, retention: 60_000 });
  const publish = vi.spyOn(feed, 'publish').mockImplementationOnce(down);
  const revoke = revoker({ store: memoryStore({ now }), feed, registry: memoryRegistry(now), now });
  const target = { session_id: 'one' };
  const failed = await Promise.allSettled([revoke(target, undefined), revoke(target, undefined)]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const answers = await Promise.all([revoke(target, undefined), revoke(target, undefined)]);
  answers.push(await revoke(target, undefined));
  expect(new Set(answers.map(({ rid }) => rid)).size).toBe(1);
  expect(publish).toHaveBeenCalledTimes(2);
});
