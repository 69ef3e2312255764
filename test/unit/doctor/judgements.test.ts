import { describe, expect, test } from 'vitest';
import { judgeReplay } from '../../../src/doctor/checks/admission-verdicts.ts';
import { judgeAddress } from '../../../src/doctor/checks/client-address.ts';
import { dateSample, skewOf } from '../../../src/doctor/clocks.ts';
import { isGuessable } from '../../../src/doctor/guessable.ts';
import { isPublicHost } from '../../../src/doctor/public-host.ts';

describe('whom the nodes take us for', () => {
  const world = {
    spoofed: '2001:db8:1:2::1',
    own: '192.168.1.20',
    entrance: ['203.0.113.10'],
    isPublic: true,
    trusted: ['10.1.0.0/16'],
  };
  test.each([
    ['what we wrote ourselves', '2001:db8:1:2::1', {}, 'fault', /is believed/],
    ['us', '192.168.1.20', {}, 'ok', /we are 192/],
    ['the address that our network has in the world', '198.51.100.3', {}, 'ok', /your address/],
    ['the proxy', '203.0.113.10', {}, 'fault', /Nodes take every visitor for 203/],
    ['its inner address', '10.2.0.5', { trusted: [] }, 'fault', /for 10\.2\.0\.5, which is the proxy/],
    ['somebody whom TRUST_PROXY trusts, inside', '10.1.0.5', { isPublic: false }, 'warning', /too wide/],
    [
      'somebody inside, where TRUST_PROXY is not known',
      '10.1.0.5',
      { isPublic: false, trusted: undefined },
      'ok',
      /./,
    ],
    [
      'us, who have the address of the proxy',
      '203.0.113.10',
      { own: '203.0.113.10' },
      'skipped',
      /the same address/,
    ],
  ])('%s', (_whom, seen, changed, severity, says) => {
    const found = judgeAddress({ ...world, seen, ...changed });
    expect(found).toMatchObject({ severity, says: expect.stringMatching(says) });
  });

  test('what to do depends on whether the proxy is trusted already', () => {
    const at = (trusted: string[]) => judgeAddress({ ...world, seen: '10.1.0.5', trusted }).todo;
    expect(at([])).toMatch(/^Set TRUST_PROXY/);
    expect(at(['10.1.0.5'])).toMatch(/^Let the proxy tell/);
  });
});

describe('a used ticket', () => {
  const again = (status: number, code: string) => judgeReplay({ outcome: 'refused', status, code }).severity;
  test('that opens a second socket is a fault', () => {
    const second = { outcome: 'admitted', session: undefined, from: undefined, close() {} } as const;
    expect(judgeReplay(second)).toMatchObject({ severity: 'fault' });
  });
  test('is well refused by an answer or a close; by anything else it was not judged', () => {
    expect([again(401, 'invalid_ticket'), again(1008, 'invalid_ticket')]).toEqual(['ok', 'ok']);
    expect([again(429, 'rate_limited'), again(502, ''), again(1013, '')]).toEqual(Array(3).fill('skipped'));
    expect(judgeReplay({ outcome: 'unanswered', reason: 'timeout' }).severity).toBe('skipped');
  });
});

describe('a clock', () => {
  const between = [100_000, 100_400] as const;
  const off = (said: number, coarseness = 1) => skewOf({ of: '', said, coarseness, between });
  test('is wrong by what cannot be explained otherwise', () => {
    expect([off(100_000), off(100_200), off(100_400)]).toEqual([0, 0, 0]);
    expect([off(103_400), off(90_000)]).toEqual([3000, -9999]);
    expect(off(98_500, 2000)).toBe(0);
  });
  test('in a Date header tells whole seconds, up to two late', () => {
    const sample = dateSample('node', new Date(98_000).toUTCString(), between);
    expect(sample && skewOf(sample)).toBe(0);
    expect(dateSample('node', undefined, between)).toBeUndefined();
    expect(dateSample('node', 'soon', between)).toBeUndefined();
  });
});

test.each([
  ['broker.example', true],
  ['8.8.8.8', true],
  ['2606:4700::1', true],
  ['localhost', false],
  ['lb', false],
  ['broker.local', false],
  ['broker.cluster.internal', false],
  ['10.0.0.1', false],
  ['172.18.0.2', false],
  ['::ffff:192.168.0.1', false],
  ['::1', false],
])('%s is a public host: %s', (host, is) => {
  expect(isPublicHost(host)).toBe(is);
});

test.each([
  ['your-256-bit-secret-your-256-bit-secret', true],
  ['MySuperSecretKeyThatNobodyKnows!!', true],
  ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', true],
  ['0101010101010101010101010101010101010101', true],
  ['hJ2kQ0vXnT7cYb9mRz4wLs8dPf1gUa6e', false],
  ['6f1ed002ab5595859014ebf0951522d94c1d3e5b7a9f8c2d', false],
  ['q3Zt0mEo1k7C2fXb9sVnLwYp5uGd8iRhJ4aTKxM6BcE=', false],
])('%s can be guessed: %s', (secret, is) => {
  expect(isGuessable(secret)).toBe(is);
});
