import { randomBytes } from 'node:crypto';
import bcrypt from 'bcrypt';
import { describe, expect, test } from 'vitest';
import { hashPassword, passwordCheck } from '../../../src/credentials/passwords.ts';
import { parseUsers } from '../../../src/credentials/users-file.ts';

describe('passwordCheck', () => {
  test('knows argon2id and every spelling of bcrypt', async () => {
    const hash = await bcrypt.hash('pw', 10);
    const users = new Map([
      ['argon', await hashPassword('pw')],
      ['b', hash],
      ['y', hash.replace('$2b$', '$2y$')],
      ['a', hash.replace('$2b$', '$2a$')],
    ]);
    const check = passwordCheck({ users: () => users, randomBytes });
    for (const name of users.keys()) {
      expect(await check(name, 'pw'), name).toBe(true);
      expect(await check(name, 'wrong'), name).toBe(false);
    }
  });

  test('makes hashes that a users file accepts', async () => {
    expect(parseUsers(`ann:${await hashPassword('pw')}`).size).toBe(1);
  });

  test('can say of all that a users file accepts whether a password matches', async () => {
    const hash = await hashPassword('pw');
    const [, salt = '', digest = ''] = /([^$]+)\$([^$]+)$/.exec(hash) ?? [];
    const cut = [
      ...Array.from(salt, (_, length) => hash.replace(salt, salt.slice(0, length))),
      ...Array.from(digest, (_, length) => hash.replace(digest, digest.slice(0, length))),
      ...['A', 'B', 'x', '/'].map((last) => `${hash.slice(0, -1)}${last}`).filter((other) => other !== hash),
    ];
    const accepted = cut.filter((one) => {
      try {
        return parseUsers(`ann:${one}`);
      } catch {
        return false;
      }
    });
    expect(accepted.length).toBeGreaterThan(0);
    expect(accepted.length).toBeLessThan(cut.length / 2);
    for (const one of accepted) {
      const check = passwordCheck({ users: () => new Map([['ann', one]]), randomBytes });
      expect([await check('ann', 'wrong'), await check('nobody', 'pw')], one).toEqual([false, false]);
    }
  });

  test('lets in nobody who is not there, whoever’s password they have', async () => {
    const users = new Map([['ann', await bcrypt.hash('pw', 10)]]);
    const check = passwordCheck({ users: () => users, randomBytes });
    for (let index = 0; index < 20; index++) expect(await check(`stranger-${index}`, 'pw')).toBe(false);
    const empty = passwordCheck({ users: () => new Map(), randomBytes });
    expect(await empty('ann', 'pw')).toBe(false);
  });

  test('spends the same work on a stranger as on a user', async () => {
    const users = new Map([['ann', await hashPassword('pw')]]);
    const check = passwordCheck({ users: () => users, randomBytes });
    await check('warm', 'up');
    const cost = async (name: string) => {
      const before = process.cpuUsage();
      for (let index = 0; index < 15; index++) await check(name, 'wrong');
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    // A stranger who costs nothing would be hundreds of times cheaper.
    expect((await cost('stranger')) / (await cost('ann'))).toBeGreaterThan(0.3);
  });

  test('refuses more than it can hash soon', async () => {
    const users = new Map([['ann', await hashPassword('pw')]]);
    const check = passwordCheck({ users: () => users, randomBytes, maxPending: 2 });
    const answers = await Promise.allSettled([check('ann', 'pw'), check('ann', 'pw'), check('ann', 'pw')]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await check('ann', 'pw')).toBe(true);
  });
});
