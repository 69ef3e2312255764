import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { environmentHelp } from '../../src/cli/environment-help.ts';
import { ConfigFault, readConfig } from '../../src/config.ts';
import { variables } from '../../src/variables.ts';
import { startAuthority } from '../support/certificates.ts';

const secret = 's'.repeat(32);
const shared = { REDIS_URL: 'redis://127.0.0.1', JWT_SECRET: secret, USERS_FILE: '/dev/null' };
const idp = { JWKS_URL: 'https://idp.example/jwks', JWT_ISSUER: 'https://idp.example', JWT_AUDIENCE: 'chat' };

function faultsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigFault) return error.faults;
    throw error;
  }
  return [];
}

describe('files for TLS to Redis', () => {
  const ca = startAuthority();
  afterAll(() => ca[Symbol.dispose]());
  const [one, another] = [ca.issue('one', 'IP:127.0.0.1'), ca.issue('another', 'IP:127.0.0.1')];
  const { certFile, keyFile } = one;
  test.each([
    [[], { REDIS_CA_FILE: ca.certFile, REDIS_CERT_FILE: certFile, REDIS_KEY_FILE: keyFile }],
    [['REDIS_CA_FILE holds no certificate in PEM'], { REDIS_CA_FILE: keyFile }],
    [
      [
        'REDIS_CERT_FILE holds no certificate in PEM',
        'REDIS_KEY_FILE holds no private key in PEM, or one with a passphrase',
      ],
      { REDIS_CERT_FILE: keyFile, REDIS_KEY_FILE: certFile },
    ],
    [
      ['REDIS_KEY_FILE is not the key of REDIS_CERT_FILE'],
      { REDIS_CERT_FILE: certFile, REDIS_KEY_FILE: another.keyFile },
    ],
  ])('have the faults %j', (faults, files) => {
    expect(faultsOf({ ...shared, REDIS_URL: 'rediss://127.0.0.1', ...files })).toEqual(faults);
  });
});

describe('readConfig', () => {
  test('needs nothing for a single process', () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      PORT: 8080,
      TICKET_TTL: 30,
      ATTEMPT_LIMIT: 10,
      WS_PATH: ['/ws'],
      demo: true,
    });
    expect(config.TIERS).toEqual(new Set(['http', 'ws']));
  });

  test.each([
    ['nothing', {}, [true, true]],
    ['a secret', { JWT_SECRET: secret }, [true, true]],
    ['Redis', shared, [false, false]],
    ['users', { USERS_FILE: '/users' }, [false, false]],
    ['service keys', { SERVICE_KEYS_FILE: '/keys' }, [false, false]],
    ['an identity provider', idp, [false, false]],
    ['DEMO=off', { DEMO: 'off' }, [false, false]],
    ['DEMO=on', { DEMO: 'on' }, [true, true]],
    ['DEMO=on and Redis', { ...shared, DEMO: 'on' }, [true, false]],
    ['DEMO=on and service keys', { SERVICE_KEYS_FILE: '/keys', DEMO: 'on' }, [true, false]],
  ])('with %s, knows whether to demonstrate, and to make a user for it', (_given, env, [demo, demoAlone]) => {
    expect(readConfig(env)).toMatchObject({ demo, demoAlone });
  });

  test('takes tokens in the handshake only where they can be verified', () => {
    const socketTier = { TIERS: 'ws', REDIS_URL: shared.REDIS_URL, WS_ACCEPT: 'ticket,bearer' };
    expect(faultsOf(socketTier)).toEqual([expect.stringContaining('WS_ACCEPT takes tokens')]);
    expect(faultsOf({ ...socketTier, JWT_SECRET: secret })).toEqual([]);
    expect(readConfig({ WS_ACCEPT: 'message,ticket' }).WS_ACCEPT).toEqual(new Set(['ticket', 'message']));
    expect(faultsOf({ WS_ACCEPT: 'ticket,cookie' })).toEqual([expect.stringMatching(/^WS_ACCEPT /)]);
  });

  test('takes the name of a header, and no more than that', () => {
    expect(readConfig({ VERIFY_URI_HEADER: 'X-Original-URI' }).VERIFY_URI_HEADER).toBe('X-Original-URI');
    expect(faultsOf({ VERIFY_URI_HEADER: 'X-Original-URI: /', VERIFY_HEADERS: 'all' })).toEqual([
      expect.stringMatching(/^VERIFY_URI_HEADER /),
      expect.stringMatching(/^VERIFY_HEADERS /),
    ]);
  });

  test('has no two servers on one port', () => {
    expect(faultsOf({ PORT: '9090', METRICS_PORT: '9090' })).toEqual(['METRICS_PORT must not be PORT']);
    expect(faultsOf({ PORT: '0', METRICS_PORT: '0' })).toEqual([]);
  });

  test('opens no WebSocket where the document has something else', () => {
    const { paths } = parse(readFileSync('openapi.yaml', 'utf8')) as { paths: Record<string, object> };
    const others = Object.keys(paths).filter((path) => path !== '/ws' && !path.includes('{'));
    expect(others.length).toBeGreaterThan(10);
    const taken = 'WS_PATH names a path that something else is served at';
    for (const path of [...others, '/demo/page.css'])
      expect(faultsOf({ WS_PATH: path }), path).toContain(taken);
  });

  test('takes an empty variable for an unset one', () => {
    expect(readConfig({ PORT: '', REDIS_URL: '' })).toMatchObject({ PORT: 8080, demo: true });
  });

  test('with Redis, refuses to start without a secret and without users, and says which variables', () => {
    expect(faultsOf({ REDIS_URL: shared.REDIS_URL })).toEqual([
      expect.stringContaining('JWT_SECRET is required'),
      expect.stringContaining('USERS_FILE or JWKS_URL is required'),
    ]);
    expect(faultsOf(shared)).toEqual([]);
    expect(faultsOf({ REDIS_URL: shared.REDIS_URL, TIERS: 'ws' })).toEqual([]);
  });

  test('names every fault at once and repeats no value', () => {
    const faults = faultsOf({
      PORT: '99999',
      TIERS: 'all-of-it',
      TICKET_TTL: 'soon',
      ATTEMPT_COUNT: 'maybe',
      LOG_LEVEL: 'shout',
      TRUST_PROXY: 'everyone',
      ALLOWED_ORIGINS: 'example.com',
      PUBLIC_WS_URL: 'https://not-a-socket',
      JWT_SECRET: 'short-secret',
      JWKS_URL: 'ftp://keys',
      REDIS_URL: 'memcached://x',
    });
    for (const name of [
      'PORT',
      'TIERS',
      'TICKET_TTL',
      'ATTEMPT_COUNT',
      'LOG_LEVEL',
      'TRUST_PROXY',
      'ALLOWED_ORIGINS',
      'PUBLIC_WS_URL',
      'JWT_SECRET',
      'JWKS_URL',
      'REDIS_URL',
    ]) {
      expect(
        faults.some((fault) => fault.includes(name)),
        name,
      ).toBe(true);
    }
    expect(faults.join()).not.toMatch(
      /99999|all-of-it|soon|maybe|shout|everyone|short-secret|memcached:\/\/x/,
    );
  });

  test.each([
    ['JWT_SECRET', { ...shared, JWT_SECRET: `${secret},short` }],
    ['JWT_SECRET', { ...shared, JWT_SECRET: [secret, secret, secret].join() }],
    ['JWT_PRIVATE_KEY', { ...shared, JWT_PRIVATE_KEY: 'not a key', JWT_SECRET: undefined }],
    ['JWT_PRIVATE_KEY', { ...shared, JWT_PRIVATE_KEY: rsaKey(), JWT_SECRET: undefined }],
    ['keep one', { ...shared, JWT_PRIVATE_KEY: p256Key() }],
    ['set together', { JWKS_URL: 'https://idp.example/jwks' }],
    ['JWT_ISSUER', { JWKS_URL: 'https://i/', JWT_ISSUER: 'ticket-broker', JWT_AUDIENCE: 'x' }],
    ['TICKET_TTL', { TICKET_TTL: '301' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'https://app.example/' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'https://*.app.example' }],
    ['no fragment', { PUBLIC_WS_URL: 'wss://sockets.example/ws#main' }],
    ['name no user', { PUBLIC_WS_URL: 'wss://alice:secret@sockets.example/ws' }],
    ['WS_PATH', { WS_PATH: '/ws,/ws' }],
    ['WS_PATH', { WS_PATH: '/healthz' }],
    ['WS_PATH', { WS_PATH: '/' }],
    ['TRUST_PROXY', { TRUST_PROXY: '0.0.0.0/0' }],
    ['JWT_SECRET', { JWT_SECRET: ',' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: ',' }],
    ['TIERS', { TIERS: 'http,http,ws' }],
    ['AUTH_COOKIE needs ALLOWED_ORIGINS', { AUTH_COOKIE: 'token', ALLOWED_ORIGINS: '*' }],
    ['AUTH_COOKIE', { AUTH_COOKIE: 'two words' }],
    ['AUTH_COOKIE', { AUTH_COOKIE: 'token=x' }],
    ['leaves http out', { TIERS: 'ws' }],
    ['leaves ws out', { TIERS: 'http' }],
  ])('finds what is wrong with %s', (named, env) => {
    expect(faultsOf(env).join()).toContain(named);
  });

  test('reads secrets from files, and refuses one given twice, unreadable or empty', () => {
    const dir = mkdtempSync(join(tmpdir(), 'config-'));
    writeFileSync(join(dir, 'secret'), `${secret}\n`);
    writeFileSync(join(dir, 'empty'), '\n');
    expect(readConfig({ JWT_SECRET_FILE: join(dir, 'secret') }).JWT_SECRET).toEqual([secret]);
    expect(faultsOf({ JWT_SECRET: secret, JWT_SECRET_FILE: join(dir, 'secret') }).join()).toContain(
      'both set',
    );
    expect(faultsOf({ JWT_SECRET_FILE: join(dir, 'missing') }).join()).toContain(
      'JWT_SECRET_FILE cannot be read',
    );
    expect(faultsOf({ JWT_SECRET_FILE: join(dir, 'empty') })).toEqual(['JWT_SECRET_FILE is empty']);
  });

  test('tells every file that cannot be used at once, and asks for nothing that one of them was to hold', () => {
    const dir = mkdtempSync(join(tmpdir(), 'config-'));
    const missing = join(dir, 'missing');
    writeFileSync(join(dir, 'users'), 'alice:plain\n');
    const given = { JWT_SECRET_FILE: missing, USERS_FILE: missing, SERVICE_KEYS_FILE: missing };
    const unreadable = [
      'JWT_SECRET_FILE cannot be read (ENOENT)',
      'USERS_FILE cannot be read (ENOENT)',
      'SERVICE_KEYS_FILE cannot be read (ENOENT)',
    ];
    expect(faultsOf({ ...given, REDIS_URL: shared.REDIS_URL })).toEqual(unreadable);
    const withRedis = faultsOf({ ...given, REDIS_URL_FILE: missing, TIERS: 'http' });
    expect(new Set(withRedis)).toEqual(new Set([...unreadable, 'REDIS_URL_FILE cannot be read (ENOENT)']));
    expect(faultsOf({ PORT: 'x', USERS_FILE: join(dir, 'users') })).toEqual([
      'PORT must be integer',
      expect.stringMatching(/^USERS_FILE: line 1 /),
    ]);
  });

  test('takes blanks around commas', () => {
    const config = readConfig({ TIERS: ' http , ws', WS_ACCEPT: 'ticket, message ', WS_PATH: '/ws, /chat' });
    expect(config.TIERS).toEqual(new Set(['http', 'ws']));
    expect(config.WS_ACCEPT).toEqual(new Set(['ticket', 'message']));
    expect(config.WS_PATH).toEqual(['/ws', '/chat']);
  });

  test.each([
    [{ TIERS: 'http;ws' }, 'TIERS must be one or more of http, ws, comma-separated'],
    [
      { WS_ACCEPT: 'cookie' },
      'WS_ACCEPT must be one or more of ticket, bearer, token, message, comma-separated',
    ],
    [{ WS_PATH: 'ws' }, 'WS_PATH must be a path such as /ws, or several, comma-separated'],
    [{ KEY_PREFIX: 'a b' }, 'KEY_PREFIX must have neither braces nor blanks, and 64 characters at most'],
    [{ AUTH_COOKIE: 'a b' }, 'AUTH_COOKIE must be the name of a cookie'],
    [{ VERIFY_URI_HEADER: 'a b' }, 'VERIFY_URI_HEADER must be the name of a header'],
    [{ BIND_IP: 'all' }, 'BIND_IP must be equal to one of the allowed values: off, log, prefix, exact'],
  ])('of %j, says in words what it must be', (env, fault) => {
    expect(faultsOf(env)).toEqual([fault]);
  });

  test('tells what is nearly a variable of ours, also beside faults', () => {
    const typo = 'ALOWED_ORIGINS is not read: is ALLOWED_ORIGINS meant?';
    expect(readConfig({ ALOWED_ORIGINS: 'https://a.example' }).misspelt).toEqual([typo]);
    expect(readConfig({}).misspelt).toEqual([]);
    expect(faultsOf({ ALOWED_ORIGINS: 'https://a.example', PORT: 'x' })).toEqual([
      'PORT must be integer',
      typo,
    ]);
  });

  test('takes keys whose line breaks were escaped on their way', () => {
    expect(faultsOf({ JWT_PRIVATE_KEY: p256Key().replaceAll('\n', '\\n') })).toEqual([]);
  });
});

function p256Key(): string {
  return pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }));
}

function rsaKey(): string {
  return pem(generateKeyPairSync('rsa', { modulusLength: 2048 }));
}

function pem({ privateKey }: { privateKey: import('node:crypto').KeyObject }): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

test('.env.example lists every variable with its default and its meaning', () => {
  const example = readFileSync('.env.example', 'utf8');
  for (const [name, { description, default: fallback = '' }] of Object.entries(variables as Described)) {
    expect(example).toContain(`\n# ${description}\n#${name}=${fallback}\n`);
  }
});

test('of a variable that takes a choice of values, .env.example and --help name them', () => {
  const texts = [readFileSync('.env.example', 'utf8'), environmentHelp()];
  for (const [name, { enum: values = [], description = '' }] of Object.entries(variables as Described)) {
    for (const value of values) expect(description, name).toMatch(new RegExp(`\\b${value}\\b`));
    for (const text of texts) expect(text).toContain(description);
  }
  expect(texts[1]).toContain('one of off, log, prefix, exact');
});

type Described = Record<string, { description?: string; default?: unknown; enum?: string[] }>;
