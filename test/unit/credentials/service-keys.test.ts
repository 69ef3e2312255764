import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseServiceKeys, serviceKeyVerifier } from '../../../src/credentials/service-keys.ts';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');

test('a key is known by its hash, with its name and scopes', async () => {
  const keys = parseServiceKeys(`# backends\nbackend:${sha256('key-one')}:tickets:mint, revoke`);
  const verify = serviceKeyVerifier(() => keys);
  expect(await verify('key-one')).toEqual({
    kind: 'service',
    name: 'backend',
    scopes: new Set(['tickets:mint', 'revoke']),
  });
  expect(await verify('key-two')).toBeUndefined();
  expect(await verify(sha256('key-one'))).toBeUndefined();
});

describe('parseServiceKeys', () => {
  test.each([
    ['no hash', 'a:b:revoke', 'no SHA-256'],
    ['the key itself', 'a:my-plain-key:revoke', 'no SHA-256'],
    ['an unknown scope', `a:${sha256('k')}:everything`, 'a scope other than'],
    ['no scope', `a:${sha256('k')}:`, 'a scope other than'],
    ['nothing but a name', 'a', 'is not name:sha256:scopes'],
    ['a repeated name', `a:${sha256('k')}:revoke\na:${sha256('l')}:revoke`, 'line 2 repeats a name'],
  ])('refuses %s by line number, quoting nothing', (_what, text, fault) => {
    expect(() => parseServiceKeys(text)).toThrow(fault);
    expect(() => parseServiceKeys(text)).not.toThrow(/my-plain-key|everything/);
  });
});
