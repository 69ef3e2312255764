import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import type { Login } from '../../../src/credentials/refresh-families.ts';
import { refreshTokens } from '../../../src/credentials/refresh-tokens.ts';
import { secretsIn } from '../../../src/credentials/signing-keys.ts';
import { BrokerError } from '../../../src/errors.ts';
import { memoryFamilies } from '../../../src/store/memory-families.ts';
import { refreshContract } from '../../support/refresh-contract.ts';

refreshContract('memory', async () => memoryFamilies(Date.now));

describe('refresh tokens', () => {
  const login = { sub: 'alice', username: 'Alice', auth_time: 1_700_000_000.123 };
  function setUp(secrets = ['a'.repeat(32)]) {
    let now = 1_000_000;
    const reused: Login[] = [];
    const revoke = vi.fn(async (login: Login) => void reused.push(login));
    const families = memoryFamilies(() => now);
    const make = (using: string[]) =>
      refreshTokens({
        families,
        randomBytes,
        secrets: using,
        ttl: 3600,
        onReuse: revoke,
      });
    return {
      tokens: make(secrets),
      make,
      reused,
      revoke,
      pass: (seconds: number) => {
        now += seconds * 1000;
      },
    };
  }

  test('are spent for a successor, and keep the time of the login', async () => {
    const { tokens } = setUp();
    const first = await tokens.issue(login);
    const { login: who, successor } = await tokens.rotate(first);
    expect(who).toEqual(login);
    expect(successor).not.toBe(first);
    expect((await tokens.rotate(successor)).login).toEqual(login);
  });

  test('a client that lost the reply gets the same successor, and is no thief', async () => {
    const { tokens, reused, pass } = setUp();
    const first = await tokens.issue(login);
    const { successor } = await tokens.rotate(first);
    pass(9);
    expect((await tokens.rotate(first)).successor).toBe(successor);
    expect(reused).toEqual([]);
  });

  test('a spent one ends the family, and all that it led to', async () => {
    const { tokens, reused, pass } = setUp();
    const first = await tokens.issue(login);
    const { successor } = await tokens.rotate(first);
    pass(11);
    await expect(tokens.rotate(first)).rejects.toMatchObject({
      code: 'invalid_grant',
      reason: 'refresh_token_reused',
    });
    await expect(tokens.rotate(successor)).rejects.toMatchObject({ code: 'invalid_grant' });
    expect(reused).toEqual([login]);
  });

  test('that came back ask again for the end of their login, where it could not be had', async () => {
    const { tokens, reused, revoke, pass } = setUp();
    const first = await tokens.issue(login);
    const { successor } = await tokens.rotate(first);
    pass(11);
    const away = new BrokerError('store_unavailable');
    revoke.mockRejectedValueOnce(away).mockRejectedValueOnce(away);
    for (const token of [first, successor]) await expect(tokens.rotate(token)).rejects.toBe(away);
    expect(reused).toEqual([]);
    await expect(tokens.rotate(first)).rejects.toMatchObject({ reason: 'refresh_token_reused' });
    expect(reused).toEqual([login]);
  });

  test('that came back end their login once, however many come', async () => {
    const { tokens, reused, pass } = setUp();
    const first = await tokens.issue(login);
    await tokens.rotate(first);
    pass(11);
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.allSettled(Array.from({ length: 100 }, () => tokens.rotate(first)));
      expect(answers.filter(({ status }) => status === 'fulfilled')).toEqual([]);
    }
    expect(reused).toEqual([login]);
  });

  test('survive the rotation of the secret', async () => {
    const { tokens, make } = setUp();
    const first = await tokens.issue(login);
    const rotated = make(['b'.repeat(32), 'a'.repeat(32)]);
    const { successor } = await rotated.rotate(first);
    expect((await make(['b'.repeat(32)]).rotate(successor)).login).toEqual(login);
  });

  test('survive the rotation of a private key, however its PEM is spelt', async () => {
    const [old = '', fresh = ''] = ['ed25519', 'ed25519'].map(
      (type) =>
        generateKeyPairSync(type as 'ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    );
    const { tokens, make } = setUp(secretsIn(old));
    const first = await tokens.issue(login);
    const { successor } = await make(secretsIn(`# new\n${fresh}\n${old}`)).rotate(first);
    expect((await make(secretsIn(fresh.replaceAll('\n', '\\n'))).rotate(successor)).login).toEqual(login);
  });

  test('that are not ours are refused, and end nothing', async () => {
    const { tokens, reused } = setUp();
    const first = await tokens.issue(login);
    const [family, , proof] = first.split('.');
    const forged = [
      '',
      'wsr_',
      `${family}.2.${proof}`,
      `${family}.0.${proof}`,
      `${family}.1.${'A'.repeat(43)}`,
      `${first}x`,
      first.replace('wsr_', 'wst_'),
      `${family}.1e0.${proof}`,
      (await setUp(['c'.repeat(32)]).tokens.issue(login)).slice(0),
    ];
    for (const token of forged) {
      await expect(tokens.rotate(token), token).rejects.toMatchObject({ code: 'invalid_grant' });
    }
    expect(reused).toEqual([]);
    expect((await tokens.rotate(first)).login).toEqual(login);
  });
});
