import { readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { parseEnv } from 'node:util';
import { expect, test } from 'vitest';
import { secrets, variables } from '../../../src/variables.ts';

const read = (path: string) => readFileSync(join(import.meta.dirname, '../../..', path), 'utf8');
const guide = /^## Bare nodes.*?^## Kubernetes/ms.exec(read('docs/deployment.md'))?.[0] ?? '';
const [shared = '', unit = ''] = [...guide.matchAll(/^```ini\n(.*?)^```/gms)].map(([, text]) => text);
const settings = {
  ...parseEnv(shared),
  ...parseEnv(
    [...unit.matchAll(/^Environment=(.*)$/gm)].flatMap(([, line = '']) => line.split(' ')).join('\n'),
  ),
};

test('the unit and its environment set what the broker reads, and name files that the guide makes', () => {
  const known = ['NODE_ENV', ...Object.keys(variables), ...secrets.map((name) => `${name}_FILE`)];
  expect(Object.keys(settings).filter((name) => !known.includes(name))).toEqual([]);
  for (const file of [settings['USERS_FILE'], settings['SERVICE_KEYS_FILE']]) {
    expect(guide).toContain(`--file ${file} `);
  }
  for (const [, file] of unit.matchAll(/^LoadCredential=[\w-]+:(.*)$/gm))
    expect(guide).toContain(`>${file})`);
});

test('logrotate turns the audit that the unit writes, and tells its processes', () => {
  const [, files = '', told = ''] =
    /^(\/\S+) \{\n[^}]*systemctl kill --signal=HUP '([^']+)'/m.exec(read('docs/audit.md')) ?? [];
  expect(matchesGlob(settings['AUDIT_LOG']?.replace('%i', '8081') ?? '', files)).toBe(true);
  const [, name = ''] = /`\/etc\/systemd\/system\/(ticket-broker@)\.service`/.exec(guide) ?? [];
  expect(matchesGlob(`${name}8081`, told)).toBe(true);
});
