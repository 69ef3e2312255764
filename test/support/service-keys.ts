import { hash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The key of a service that `serviceKeysFile` lists. */
export const keyOf = (name: string) => `key-of-the-${name}`;

/** A SERVICE_KEYS_FILE. @param services scopes by name */
export function serviceKeysFile(services: Record<string, string>): string {
  const path = join(mkdtempSync(join(tmpdir(), 'keys-')), 'keys');
  const lines = Object.entries(services).map(
    ([name, scopes]) => `${name}:${hash('sha256', keyOf(name))}:${scopes}\n`,
  );
  writeFileSync(path, lines.join(''));
  return path;
}
