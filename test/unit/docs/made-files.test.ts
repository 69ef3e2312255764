import { readdirSync, readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)];

test('what the documents have people make in a checkout is not committed, nor sent to Docker', () => {
  // Not what is done inside of a container.
  const commands = documents
    .flatMap((name) => read(name).match(/^ {4}.*$|`[^`\n]+`/gm) ?? [])
    .map((command) => command.replace(/sh -c '[^']*'/, ''));
  const made = commands.flatMap((command) =>
    [...command.matchAll(/(?:--file|>) ?([a-z][\w.-]*)(?=[\s`)'"]|$)/g)].map(([, name = '']) => name),
  );
  expect(made).toEqual(
    expect.arrayContaining([
      'users',
      'service-keys',
      'backend.key',
      'jwt-secret',
      'redis-url',
      'state.tar.gz',
    ]),
  );
  const ignored = read('.gitignore')
    .split('\n')
    .filter((line) => line.startsWith('/'));
  expect(made.filter((name) => !ignored.some((line) => matchesGlob(`/${name}`, line)))).toEqual([]);
  // Docker gets what is listed, and no more.
  expect(read('.dockerignore').split('\n')[0]).toBe('*');
});
