import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { bundle } from '../../support/bundle.ts';

test.each([
  ['client', []],
  ['react', ['react']],
])('%s and all it needs is 10 KB at most, minified and gzipped', async (entry, external) => {
  const code = await bundle(`src/client/${entry}.ts`, { external });
  expect(code).toContain('session.refresh');
  const bytes = gzipSync(code).length;
  console.log(`${entry}: ${code.length} bytes, ${bytes} gzipped`);
  expect(bytes).toBeLessThanOrEqual(10_000);
});
