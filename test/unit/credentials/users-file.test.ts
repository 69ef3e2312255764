import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listUsers, removeUser, setUser } from '../../../src/credentials/users-edit.ts';
import { parseUsers } from '../../../src/credentials/users-file.ts';

const salt = 'c2FsdHNhbHRzYWx0';
const argon = (m: number, t: number) => `$argon2id$v=19$m=${m},t=${t},p=1$${salt}$${'h'.repeat(42)}o`;
const bcrypt = (cost: string, variant = 'b') => `$2${variant}$${cost}$${'x'.repeat(53)}`;

describe('parseUsers', () => {
  test('reads argon2id and bcrypt lines, and skips comments and blanks', () => {
    const users = parseUsers(
      [
        '# people',
        '',
        `ann:${argon(19456, 2)}`,
        `bob:${bcrypt('10')}\r`,
        `cyd:${bcrypt('12', 'y')}`,
        `dee:${bcrypt('12', 'a')}`,
        `😀:${argon(65536, 3)}`,
      ].join('\n'),
    );
    expect([...users.keys()]).toEqual(['ann', 'bob', 'cyd', 'dee', '😀']);
  });

  test.each([
    ['a plain password', 'ann:secret-value'],
    ['Apache MD5', 'ann:$apr1$abcdefgh$0123456789012345678901'],
    ['SHA-1', 'ann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk='],
    ['crypt', 'ann:rl0uE1wnBvXmA'],
    ['a bcrypt cost of 9', `ann:${bcrypt('09')}`],
    ['too little memory', `ann:${argon(19455, 2)}`],
    ['a hundred gigabytes', `ann:${argon(99_999_999, 2)}`],
    ['no lanes', `ann:${argon(19456, 2).replace('p=1', 'p=0')}`],
    ['a broken hash', `ann:${argon(19456, 2).replace(/h+o$/, 'b')}`],
    ['an argon2id hash that has lost a character', `ann:${argon(19456, 2).slice(0, -1)}`],
    ['and one that has lost two', `ann:${argon(19456, 2).slice(0, -2)}`],
    ['and one with another last character', `ann:${argon(19456, 2).replace(/o$/, 'p')}`],
    ['a salt that has lost a character', `ann:${argon(19456, 2).replace('Wx0$', 'Wx$')}`],
    ['a bcrypt cost of 31', `ann:${bcrypt('31')}`],
    ['a single pass', `ann:${argon(19456, 1)}`],
    ['argon2i', `ann:${argon(19456, 2).replace('argon2id', 'argon2i')}`],
    ['no hash', 'ann:'],
    ['no name', `:${argon(19456, 2)}`],
    ['no colon', 'ann'],
    ['a NUL in the name', `an\0n:${argon(19456, 2)}`],
    ['the same user twice', `eve:${argon(19456, 2)}\neve:${argon(19456, 2)}`],
  ])('refuses %s by line number, without quoting the line', (_what, line) => {
    const text = `eve-before:${argon(19456, 2)}\n${line}`;
    expect(() => parseUsers(text)).toThrow(/line [23] .*ticket-broker users add/);
    expect(() => parseUsers(text)).not.toThrow(/secret-value|\$apr1|argon2i\$|rl0uE/);
  });

  test('names every faulty line at once', () => {
    expect(() => parseUsers('a:x\nb:y\nc:z')).toThrow(/line 1 .*line 2 .*line 3 /);
  });
});

describe('editing', () => {
  const file = () => join(mkdtempSync(join(tmpdir(), 'users-')), 'users');

  test('adds, updates and removes, and keeps comments and order', async () => {
    const path = file();
    writeFileSync(path, `# staff\nann:${argon(19456, 2)}\n\n# guests\nbob:${argon(19456, 2)}\n`);
    expect(await setUser(path, 'cyd', bcrypt('10'))).toBe(false);
    expect(await setUser(path, 'ann', bcrypt('11'))).toBe(true);
    expect(await removeUser(path, 'bob')).toBe(true);
    expect(await removeUser(path, 'nobody')).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe(
      `# staff\nann:${bcrypt('11')}\n\n# guests\ncyd:${bcrypt('10')}\n`,
    );
    expect(await listUsers(path)).toEqual(['ann', 'cyd']);
  });

  test('loses none of many edits at once, and leaves nothing beside the file', async () => {
    const path = file();
    const names = Array.from({ length: 20 }, (_, index) => `user-${index}`);
    await Promise.all(names.map((name) => setUser(path, name, bcrypt('10'))));
    expect((await listUsers(path)).sort()).toEqual(names.sort());
    expect(readdirSync(join(path, '..'))).toEqual(['users']);
  });

  test('replaces the file that a link leads to, and keeps the link', async () => {
    const path = file();
    writeFileSync(path, `ann:${bcrypt('10')}\n`);
    const link = join(mkdtempSync(join(tmpdir(), 'users-')), 'link');
    symlinkSync(path, link);
    await setUser(link, 'bob', bcrypt('10'));
    expect(await listUsers(path)).toEqual(['ann', 'bob']);
    expect(readlinkSync(link)).toBe(path);
    expect(readdirSync(join(link, '..'))).toEqual(['link']);
  });

  test('replaces nothing that is no file, and makes none beside what a link leads to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'users-'));
    const [pipe, link] = [join(folder, 'pipe'), join(folder, 'link')];
    execFileSync('mkfifo', [pipe]);
    symlinkSync(join(folder, 'nothing'), link);
    for (const path of [pipe, link, folder]) {
      await expect(setUser(path, 'bob', bcrypt('10'))).rejects.toThrow(`${path} is no file`);
    }
    expect(readdirSync(folder).sort()).toEqual(['link', 'pipe']);
  });

  test.each(['', 'a:b', 'a b', '#a', 'a\nb', 'a\0b', 'x'.repeat(256)])('refuses the name %j', (name) => {
    expect(() => setUser(file(), name, bcrypt('10'))).toThrow('a name has');
  });
});
