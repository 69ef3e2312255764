import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('what a closed socket held is freed by a minor garbage collection', async () => {
  const script = join(import.meta.dirname, '../../support/left-behind.ts');
  const flags = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, script]);
  // Its context alone has 4000.
  expect(Number(stdout)).toBeLessThan(2000);
});
