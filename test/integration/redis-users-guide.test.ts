import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openConnectedStore } from '../support/logged-store.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { clientOf, command } from '../support/redis-topologies.ts';

const document = readFileSync(new URL('../../docs/guarantees.md', import.meta.url), 'utf8');
/** The users as docs/guarantees.md makes them, in one `redis-cli`. */
const lines = [...document.matchAll(/^ {4}(ACL .*)$/gm)].map(([, line = '']) => line);

test('who follows the guarantee keeps a way into Redis, and the users outlive a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ticket-broker-acl-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const aclFile = join(folder, 'users.acl');
  await writeFile(aclFile, '');
  const redis = await startRedisServer(['--aclfile', aclFile]);
  onTestFinished(() => redis.dispose());

  const people = clientOf(redis);
  for (const line of lines) {
    const [name = '', ...args] = line.split(' ');
    expect([line, await people.call(name, ...args)]).toEqual([line, 'OK']);
  }
  people.disconnect();
  await redis.stop();
  await redis.restart();

  await expect(command(redis, 'PING')).rejects.toThrow('NOAUTH');
  const as = (login: string) => ({ ...redis, url: redis.url.replace('//', `//${login}@`) });
  expect(await command(as('operator:ANOTHER'), 'SADD', 'wst:rooms:alice', 'lobby')).toBe(1);
  const store = await openConnectedStore(as('broker:PASSWORD').url);
  onTestFinished(() => store.close());
  await expect(store.check()).resolves.toBeUndefined();
});
