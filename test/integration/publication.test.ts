import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/logger.ts';
import { openStore } from '../../src/store/open.ts';
import { inSync, promote, replicate, startNode, until } from '../support/redis-topologies.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

test('a publisher that was left on a demoted primary leaves it by itself', async () => {
  const [old, next] = [await startNode(), await startNode()];
  await replicate(next, old);
  const proxy = await startTcpProxy(old.port);
  const { feed, close } = openStore({
    url: `redis://127.0.0.1:${proxy.port}`,
    prefix: 'wst:',
    commandTimeout: 1000,
    node: 'test',
    sessionTtl: 3600,
    retention: 3_600_000,
    now: Date.now,
    log: createLogger('silent'),
  });
  let last: unknown;
  const publishes = async () => {
    const revocation = { rid: randomUUID(), at: Date.now() / 1000, sub: 'alice', issued_before: 1 };
    await feed.publish(revocation).catch((error: unknown) => {
      last = error;
      throw error;
    });
    return true;
  };
  try {
    await until('a publication', publishes);
    await inSync(next, old);
    await promote(next);
    await replicate(old, next);
    proxy.pointTo(next.port);
    await until('the feed to follow the new primary', async () => feed.current, 15);
    await until('another publication', publishes, 10).catch((error: Error) => {
      expect.fail(`${error.message}: ${(last as { reason?: string }).reason}, feed current: ${feed.current}`);
    });
  } finally {
    await close();
    await proxy.close();
    await Promise.all([old.dispose(), next.dispose()]);
  }
}, 60_000);
