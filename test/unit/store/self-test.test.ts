import { describe, expect, test } from 'vitest';
import { faultIn } from '../../../src/store/self-test.ts';

/** What `INFO` begins with and ends in, shortened to what is near the fields that count. */
function info(server: Record<string, string>, more: Record<string, string> = {}): string {
  const section = (title: string, fields: Record<string, string>) =>
    [`# ${title}`, ...Object.entries(fields).map(([name, value]) => `${name}:${value}`), ''].join('\r\n');
  const { role = 'master', maxmemory_policy = 'noeviction', ...others } = more;
  return [
    section('Server', {
      ...server,
      redis_mode: 'standalone',
      os: 'Linux 6.1 x86_64',
      uptime_in_seconds: '12',
    }),
    section('Memory', {
      used_memory: '1037304',
      maxmemory: '0',
      maxmemory_policy,
      mem_allocator: 'jemalloc-5.3.0',
    }),
    section('Replication', { role, connected_slaves: '0', master_replid: 'e1b2'.repeat(10), ...others }),
  ].join('\r\n');
}

const versions = {
  'Redis 6.2': { redis_version: '6.2.14', redis_git_sha1: '00000000' },
  'Redis 7.0': { redis_version: '7.0.15', redis_git_sha1: '00000000' },
  'Redis 8': { redis_version: '8.0.0', redis_git_sha1: '00000000' },
  'Redis 10': { redis_version: '10.0.1', redis_git_sha1: '00000000' },
  'Valkey 7.2': { redis_version: '7.2.5', server_name: 'valkey', valkey_version: '7.2.5' },
  'Valkey 8': { redis_version: '7.2.4', server_name: 'valkey', valkey_version: '8.1.0' },
};

describe('faultIn', () => {
  test.each(Object.entries(versions))('finds nothing wrong with %s', (_name, server) => {
    expect(faultIn(info(server))).toBeUndefined();
  });

  test.each(['2.8.24', '5.0.14', '6.0.16', '6.1.242'])('refuses Redis %s, which has no GETDEL', (version) => {
    expect(faultIn(info({ redis_version: version }))).toBe(
      `Redis ${version} is too old: 6.2 is needed, for GETDEL.`,
    );
  });

  test('refuses what names no version', () => {
    expect(faultIn(info({ other_version: '9.0.0' }))).toMatch(/too old/);
    expect(faultIn('')).toMatch(/too old/);
  });

  test.each(Object.entries(versions))('tells a replica: %s', (_name, server) => {
    const replica = info(server, { role: 'slave', master_host: '192.0.2.1', slave_read_only: '1' });
    expect(faultIn(replica)).toBe('This Redis is a read-only replica: give the address of its primary.');
  });

  test.each(Object.entries(versions))('tells that keys may be evicted: %s', (_name, server) => {
    expect(faultIn(info(server, { maxmemory_policy: 'allkeys-lru' }))).toMatch(
      /^Redis may evict keys \(maxmemory-policy allkeys-lru\)/,
    );
  });

  test('does not mind a service that keeps its memory policy to itself', () => {
    const without = info(versions['Redis 7.0']).replace(/maxmemory_policy:.*\r\n/, '');
    expect(faultIn(without)).toBeUndefined();
  });

  test('is not misled by another field that ends alike, nor by bare line feeds', () => {
    const text = `not_redis_version:5.0.0\n${info(versions['Redis 7.0'])}`.replaceAll('\r', '');
    expect(faultIn(`${text}\nmaster_role:slave\nold_maxmemory_policy:allkeys-lru\n`)).toBeUndefined();
  });

  test('says what is wrong in one sentence', () => {
    const faults = [
      faultIn(info({ redis_version: '6.0.16' })),
      faultIn(info(versions['Redis 8'], { role: 'slave' })),
      faultIn(info(versions['Redis 8'], { maxmemory_policy: 'volatile-ttl' })),
    ];
    for (const fault of faults) expect(fault).toMatch(/^[A-Z][^\n]*[^.]\.$/);
  });
});
