import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { grants } from '../../support/acl.ts';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const rulesOf = (file: string, user: string) =>
  new RegExp(`^user ${user} (.*)$`, 'm').exec(file)?.[1]?.split(' ');
const broker = ['on', '#broker', 'resetchannels'];

test('docker-compose gives the nodes what the guarantee lists, and nothing else', () => {
  const users = read('deploy/redis/users.acl');
  const sentinelUsers = read('deploy/redis/sentinel-users.acl');
  expect(rulesOf(users, 'broker')).toEqual([...broker, '~wst:*', '-@all', ...grants.always, ...grants.chat]);
  expect(rulesOf(sentinelUsers, 'broker')).toEqual([
    ...broker,
    '&+switch-master',
    '-@all',
    ...grants.sentinel,
  ]);

  const [, documented = ''] = /ACL SETUSER broker (.*)/.exec(read('docs/guarantees.md')) ?? [];
  expect(documented.split(' ')).toEqual([
    'on',
    '>PASSWORD',
    'resetchannels',
    '~wst:*',
    '-@all',
    ...grants.always,
  ]);
});

test('the default user is off, but may do what an append-only file says', () => {
  expect(rulesOf(read('deploy/redis/users.acl'), 'default')).toEqual([
    'off',
    'resetpass',
    '~*',
    '&*',
    '+@all',
  ]);
});
