import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRedisUrl } from '../../../src/store/redis-url.ts';

const single = { mode: 'single', tls: false, name: '', db: 0, username: undefined, password: undefined };

describe('parseRedisUrl', () => {
  test.each([
    ['redis://cache', { ...single, nodes: [{ host: 'cache', port: 6379 }] }],
    ['redis://cache/', { ...single, nodes: [{ host: 'cache', port: 6379 }] }],
    ['redis://cache:7000/3', { ...single, nodes: [{ host: 'cache', port: 7000 }], db: 3 }],
    ['rediss://cache', { ...single, tls: true, nodes: [{ host: 'cache', port: 6379 }] }],
    ['redis://[::1]', { ...single, nodes: [{ host: '::1', port: 6379 }] }],
    ['redis://[2001:db8::7]:7000/1', { ...single, nodes: [{ host: '2001:db8::7', port: 7000 }], db: 1 }],
    ['redis://[::ffff:192.0.2.1]', { ...single, nodes: [{ host: '::ffff:192.0.2.1', port: 6379 }] }],
    [
      'redis://user:p%40ss%3A%2Fw%25@cache',
      { ...single, nodes: [{ host: 'cache', port: 6379 }], username: 'user', password: 'p@ss:/w%' },
    ],
    ['redis://:secret@cache', { ...single, nodes: [{ host: 'cache', port: 6379 }], password: 'secret' }],
    [
      'redis://us%3Aer:a:b@cache',
      { ...single, nodes: [{ host: 'cache', port: 6379 }], username: 'us:er', password: 'a:b' },
    ],
    [
      'redis+sentinel://s1,s2:7001,[::1]:7002/tickets',
      {
        ...single,
        mode: 'sentinel',
        name: 'tickets',
        nodes: [
          { host: 's1', port: 26_379 },
          { host: 's2', port: 7001 },
          { host: '::1', port: 7002 },
        ],
      },
    ],
    [
      'rediss+sentinel://user:secret@s1/tickets/2',
      {
        mode: 'sentinel',
        tls: true,
        name: 'tickets',
        db: 2,
        nodes: [{ host: 's1', port: 26_379 }],
        username: 'user',
        password: 'secret',
      },
    ],
    [
      'redis+cluster://n1,n2:7001,[2001:db8::1]',
      {
        ...single,
        mode: 'cluster',
        nodes: [
          { host: 'n1', port: 6379 },
          { host: 'n2', port: 7001 },
          { host: '2001:db8::1', port: 6379 },
        ],
      },
    ],
    ['rediss+cluster://n1/', { ...single, mode: 'cluster', tls: true, nodes: [{ host: 'n1', port: 6379 }] }],
  ])('reads %s', (url, address) => {
    expect(parseRedisUrl(url)).toEqual(address);
  });

  const notRedis = 'is not a redis://, rediss://, redis+sentinel:// or redis+cluster:// URL';
  test.each([
    ['', notRedis],
    ['localhost:6379', notRedis],
    ['http://secret-host', notRedis],
    ['redis+proxy://secret-host', notRedis],
    ['redis://', notRedis],
    ['redis://secret-host/0?db=1', 'holds a parameter that is not known'],
    ['redis://user:secret@', 'holds something that is not host:port'],
    // A password that was not encoded: the rest of it must not become the host's name.
    ['redis://user:sec@ret@cache', 'holds something that is not host:port'],
    ['redis://secret-host:port', 'holds something that is not host:port'],
    ['redis://secret-host:70000', 'holds something that is not host:port'],
    ['redis://secret-host:', 'holds something that is not host:port'],
    ['redis://::1', 'holds something that is not host:port'],
    ['redis://[secret-host]', 'holds something that is not host:port'],
    ['redis+cluster://n1,,n2', 'holds something that is not host:port'],
    ['redis://secret-host,n2', 'names several hosts: say redis+sentinel:// or redis+cluster://'],
    ['redis://secret-host/tickets', 'must end in a database number'],
    ['redis://secret-host/1/2', 'must end in a database number'],
    ['redis://secret-host/-1', 'must end in a database number'],
    ['redis+sentinel://secret-host', 'must end in the name of the primary: redis+sentinel://host/name'],
    ['redis+sentinel://secret-host/', 'must end in the name of the primary: redis+sentinel://host/name'],
    ['redis+sentinel://secret-host/name/db', 'must end in a database number'],
    ['redis+cluster://secret-host/1', 'must not name a database: a cluster has only one'],
    ['redis://user:100%@secret-host', 'holds a user name or password that is not percent-encoded'],
    ['redis://%zz:secret@secret-host', 'holds a user name or password that is not percent-encoded'],
  ])('says what is wrong with %j', (url, fault) => {
    expect(() => parseRedisUrl(url)).toThrow(new Error(fault));
  });

  test('gives every user name and password back as it was before it was percent-encoded', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    const property = fc.property(text, text, (username, password) => {
      const url = `redis://${encodeURIComponent(username)}:${encodeURIComponent(password)}@cache`;
      expect(parseRedisUrl(url)).toMatchObject({ username, password });
    });
    fc.assert(property);
  });

  test('never quotes the URL, whatever it is', () => {
    const part = fc.string({ minLength: 6 });
    const property = fc.property(part, part, part, (user, password, host) => {
      try {
        parseRedisUrl(`redis://${user}:${password}@${host}`);
      } catch (error) {
        for (const secret of [user, password, host]) expect((error as Error).message).not.toContain(secret);
      }
    });
    fc.assert(property);
  });
});

test('the sentinels may want a name and a password of their own', () => {
  const url = 'redis+sentinel://user:data-pw@h1,h2/name/2?sentinelUsername=watcher&sentinelPassword=p%40ss';
  expect(parseRedisUrl(url)).toMatchObject({
    username: 'user',
    password: 'data-pw',
    db: 2,
    sentinelUsername: 'watcher',
    sentinelPassword: 'p@ss',
  });
  expect(() => parseRedisUrl('redis://h1?sentinelPassword=secret')).toThrow(
    'holds a parameter that is not known',
  );
});
