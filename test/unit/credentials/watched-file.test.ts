import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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

test('does not start on a file that is missing or faulty', () => {
  expect(() => watchFile('/nowhere/at/all', String, () => {})).toThrow('ENOENT');
});
