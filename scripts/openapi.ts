// Writes openapi.yaml from the routes' schemas; with --check, fails when the file is not what they say.
import { readFileSync, writeFileSync } from 'node:fs';
import { openApiDocument } from '../test/support/openapi-document.ts';

const path = new URL('../openapi.yaml', import.meta.url);
const document = await openApiDocument();

if (!process.argv.includes('--check')) {
  writeFileSync(path, document);
} else if (readFileSync(path, 'utf8') !== document) {
  console.error("openapi.yaml differs from the routes: run 'npm run openapi' and commit it");
  process.exitCode = 1;
}
