import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../../src/config.ts';

const document = readFileSync(new URL('../../../docs/upgrading.md', import.meta.url), 'utf8');

/** What docs/upgrading.md has first-start's shell do to the file with the secret, in a folder of ours. */
function rotation() {
  const folder = mkdtempSync(join(tmpdir(), 'ticket-broker-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'jwt-secret');
  // As first-start.sh makes it.
  writeFileSync(file, execFileSync('openssl', ['rand', '-base64', '48']));
  const [change = '', finish = ''] = [
    ...document.matchAll(/first-start sh -c '(.* mv new jwt-secret)'/g),
  ].map(([, script = '']) => script.replace('/var/lib/ticket-broker/secrets', folder));
  const run = (script: string) => {
    execFileSync('sh', ['-c', script]);
    return readConfig({ JWT_SECRET_FILE: file }).JWT_SECRET;
  };
  return {
    change: () => run(change),
    finish: () => run(finish),
    start: readConfig({ JWT_SECRET_FILE: file }),
  };
}

test('JWT_SECRET is changed as docs/upgrading.md says, and changed again before that is over', () => {
  const { start, change, finish } = rotation();
  const [first] = start.JWT_SECRET ?? [];
  const changed = change();
  expect(changed).toEqual([expect.any(String), first]);
  const again = change();
  expect(again).toEqual([expect.any(String), changed?.[0]]);
  expect(again?.[0]).not.toBe(changed?.[0]);
  expect(finish()).toEqual([again?.[0]]);
  expect(finish()).toEqual([again?.[0]]);
});
