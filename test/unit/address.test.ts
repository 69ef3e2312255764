import { describe, expect, test } from 'vitest';
import { acceptableForms, boundTo, canonicalAddress, countedAs } from '../../src/address.ts';

describe('canonicalAddress', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:0201', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['192.0.2.1:8080', '192.0.2.1'],
    ['[2001:db8::1]:8080', '2001:db8::1'],
  ])('spells %s as %s', (given, canonical) => {
    expect(canonicalAddress(given)).toBe(canonical);
  });

  test.each(['', 'unknown', '192.0.2', '0x7f.1', '192.0.2.256', '1', '\n', ':::'])(
    'does not take %j for an address',
    (given) => {
      expect(canonicalAddress(given)).toBeUndefined();
    },
  );
});

test('an IPv6 address is counted with its /64, an IPv4 one alone', () => {
  expect(countedAs('2001:db8:1:2:3:4:5:6')).toBe(countedAs('2001:db8:1:2::ffff'));
  expect(countedAs('2001:db8:1:2::1')).not.toBe(countedAs('2001:db8:1:3::1'));
  expect(countedAs('192.0.2.1')).toBe('192.0.2.1');
});

test('a binding accepts what its mode says', () => {
  const accepts = (mode: 'prefix' | 'exact', bound: string, from: string) =>
    acceptableForms(from, mode)?.includes(boundTo(bound, mode));
  expect(accepts('exact', '192.0.2.1', '192.0.2.1')).toBe(true);
  expect(accepts('exact', '192.0.2.1', '192.0.2.2')).toBe(false);
  expect(accepts('prefix', '192.0.2.1', '192.0.2.2')).toBe(true);
  expect(accepts('prefix', '192.0.2.1', '192.0.3.1')).toBe(false);
  expect(accepts('prefix', '2001:db8::1', '2001:db8::2')).toBe(true);
  expect(accepts('prefix', '2001:db8::1', '2001:db8:0:1::1')).toBe(false);
  expect(acceptableForms('192.0.2.1', 'off')).toBeUndefined();
  expect(acceptableForms('192.0.2.1', 'log')).toBeUndefined();
});
