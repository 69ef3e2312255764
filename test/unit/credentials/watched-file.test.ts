import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FileFault, watchFile } from '../../../src/credentials/watched-file.ts';

function watched() {
  const path = join(mkdtempSync(join(tmpdir(), 'watched-')), 'file');
  writeFileSync(path, 'one');
  const faults: unknown[] = [];
  const parse = (text: string) => {
    if (text.includes('bad')) throw new FileFault('line 1 is bad');
    return text;
  };
  return { path, faults, file: watchFile(path, parse, (error) => faults.push(error)) };
}

test('sees a change at the next use, also when the file was replaced', () => {
  const { path, file } = watched();
  writeFileSync(path, 'two');
  expect(file.current()).toBe('two');
  writeFileSync(`${path}.new`, 'six');
  renameSync(`${path}.new`, path);
  expect(file.current()).toBe('six');
});

test('keeps the last good content of a faulty file, and says so once', () => {
  const { path, file, faults } = watched();
  writeFileSync(path, 'bad');
  expect([file.current(), file.current()]).toEqual(['one', 'one']);
  expect(faults).toHaveLength(1);
  writeFileSync(path, 'mended');
  expect(file.current()).toBe('mended');
});

test('keeps the last good content while the file is gone, and says so once', () => {
  const { path, file, faults } = watched();
  rmSync(path);
  expect([file.current(), file.current()]).toEqual(['one', 'one']);
  expect(faults).toHaveLength(1);
  writeFileSync(path, 'back');
  expect(file.current()).toBe('back');
});

test('keeps the last good content while a folder is in its place, and says so once', () => {
  const { path, file, faults } = watched();
  rmSync(path);
  mkdirSync(path);
  expect(Array.from({ length: 5 }, () => file.current())).toEqual(Array(5).fill('one'));
  expect(faults).toEqual([expect.objectContaining({ code: 'EISDIR' })]);
  rmdirSync(path);
  writeFileSync(path, 'back');
  expect(file.current()).toBe('back');
  writeFileSync(path, 'bad');
  file.current();
  expect(faults).toHaveLength(2);
});

test.skipIf(process.getuid?.() === 0)('reads again what has been unreadable, told of once each time', () => {
  const { path, file, faults } = watched();
  writeFileSync(path, 'two');
  for (const told of [1, 2]) {
    chmodSync(path, 0);
    expect([file.current(), file.current()]).toEqual(Array(2).fill(told === 1 ? 'one' : 'two'));
    expect(faults).toHaveLength(told);
    chmodSync(path, 0o600);
    expect(file.current()).toBe('two');
  }
});

test('tells each time that it has gone', () => {
  const { path, file, faults } = watched();
  for (const told of [1, 2]) {
    renameSync(path, `${path}.away`);
    expect([file.current(), file.current()]).toEqual(['one', 'one']);
    expect(faults).toHaveLength(told);
    renameSync(`${path}.away`, path);
    expect(file.current()).toBe('one');
  }
});

test('does not start on a file that is missing or faulty', () => {
  expect(() => watchFile('/nowhere/at/all', String, () => {})).toThrow('ENOENT');
});
