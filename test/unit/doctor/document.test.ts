import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');

test('docs/doctor.md lists every id that a finding may have, and no other', () => {
  const sources = globSync('src/doctor/**/*.ts', { cwd: root }).map((path) =>
    readFileSync(join(root, path), 'utf8'),
  );
  const said =
    /(?:\bid = |\bid: |(?:fault|warning|notice|ok|skipped|judge|checkFile|whileReachable)\(\s*)'([a-z-]+)'/g;
  const inSources = sources.flatMap((text) => [...text.matchAll(said)].map(([, id]) => id));
  // Made of the names of variables.
  const made = ['users-file', 'service-keys-file'];
  const rows = readFileSync(join(root, 'docs/doctor.md'), 'utf8').match(/^\| `.*?\|/gm) ?? [];
  const listed = rows.flatMap((row) => [...row.matchAll(/`([a-z-]+)`/g)].map(([, id]) => id));
  expect(new Set(listed)).toEqual(new Set([...inSources, ...made]));
});
