import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { hashPassword } from '../../src/credentials/passwords.ts';
import type { Finding, Severity } from '../../src/doctor/finding.ts';
import { grants, userRules } from '../support/acl.ts';
import { type BrokerProcess, secretsIn, startBroker } from '../support/broker-process.ts';
import { startAuthority } from '../support/certificates.ts';
import { runCommand, startCommand } from '../support/e2e-cli.ts';
import { type Front, type FrontOptions, startFront } from '../support/e2e-front.ts';
import { until } from '../support/e2e-until.ts';
import { freePort, type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { command, startCluster, startSentinels } from '../support/redis-topologies.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const redisPassword = randomBytes(24).toString('hex');
const jwtSecret = randomBytes(32).toString('base64url');
const rules = userRules(redisPassword, [...grants.always, ...grants.chat]);

let folder: string;
let redis: RedisServer;
let env: NodeJS.ProcessEnv;
let broker: BrokerProcess;
let front: Front;
let keyFile: string;

/** A deployment with nothing wrong: Redis with a user and a file, a broker that trusts its proxy, and nginx. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doctor-'));
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  redis = await startRedisServer(['--appendonly', 'yes', '--user', 'broker', ...rules]);
  env = {
    REDIS_URL: redisUrl(),
    JWT_SECRET: '',
    JWT_SECRET_FILE: await file('jwt', jwtSecret),
    USERS_FILE: await file('users', `alice:${await hashPassword('correct horse')}\n`),
    SERVICE_KEYS_FILE: serviceKeysFile({
      doctor: 'tickets:mint,revoke,sessions:read',
      minter: 'tickets:mint',
      reader: 'sessions:read',
    }),
    TRUST_PROXY: '127.0.0.1',
  };
  keyFile = await file('key', keyOf('doctor'));
  broker = await startBroker(env);
  front = await startFront({ broker: broker.port });
});
afterAll(async () => {
  await front?.[Symbol.asyncDispose]();
  await broker?.stop();
  await redis?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const redisUrl = (login = `broker:${redisPassword}`, port = redis.port, scheme = 'redis') =>
  `${scheme}://${login}@127.0.0.1:${port}`;

interface Examined {
  code: number | null;
  findings: Finding[];
  /** Those of one check, or all that are not `ok` or `skipped`. */
  of(id: string): Finding[];
  bad(): string[];
}

const doctor = async (args: string[], changed: NodeJS.ProcessEnv = {}): Promise<Examined> => {
  const ran = await runCommand(['doctor', '--json', ...args], { env: { ...env, PORT: '0', ...changed } });
  const all = ran.stdout + ran.stderr;
  expect(secretsIn(all)).toEqual([]);
  for (const secret of [redisPassword, jwtSecret, keyOf('doctor')]) expect(all).not.toContain(secret);
  expect(ran.stderr.replace(/^.*\(\d+ s\)\n/gm, '')).toBe('');
  const { findings } = JSON.parse(ran.stdout) as { findings: Finding[] };
  return {
    code: ran.code,
    findings,
    of: (id) => findings.filter((finding) => finding.id === id),
    bad: () =>
      findings
        .filter(({ severity }) => !['ok', 'skipped'].includes(severity))
        .map(({ id, severity }) => `${severity} ${id}`),
  };
};
const atFront = (url = front.url) => ['--url', url];
const withKey = (path = keyFile) => ['--key-file', path];

/** Exactly these are found to be wrong, the first of them with words that name it. */
const expectBad = (
  examined: Examined,
  [severity, id]: [Severity, string],
  words: RegExp,
  others: string[] = [],
) => {
  expect(examined.bad()).toEqual(expect.arrayContaining([`${severity} ${id}`]));
  expect(examined.bad().sort()).toEqual([`${severity} ${id}`, ...others].sort());
  const found = examined.of(id).find((finding) => finding.severity === severity);
  expect(found?.says).toMatch(words);
  expect(found?.todo).toMatch(/^[A-Z/`].*\.?$/);
  expect(examined.code).toBe(examined.bad().some((one) => one.startsWith('fault')) ? 1 : 0);
};

describe('a healthy deployment', () => {
  test('is passed without a word, everything having been looked at', async () => {
    const args = [...atFront(), ...withKey(), '--proxy-log', front.accessLog, '--node', broker.url];
    const examined = await doctor(args);
    expect(examined.bad()).toEqual([]);
    expect(examined.findings.filter(({ severity }) => severity === 'skipped')).toEqual([]);
    expect(examined.code).toBe(0);
    expect(examined.of('client-address')[0]?.says).toMatch(/we are 127\.\d+\.\d+\.\d+\.$/);

    const { code, stdout } = await runCommand(['doctor', ...args], { env: { ...env, PORT: '0' } });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${examined.findings.length} ok\n` });
  });

  test('without a credential it is looked at with what Redis knows; without Redis with a key alone', async () => {
    const byRedis = await doctor(atFront());
    expect(byRedis.bad()).toEqual([]);
    expect(byRedis.of('replay')[0]?.severity).toBe('ok');
    expect(byRedis.of('client-address')[0]?.severity).toBe('ok');
    expect(byRedis.of('feed')[0]?.severity).toBe('skipped');

    const nothing = Object.fromEntries(Object.keys(env).map((name) => [name, '']));
    const byKey = await doctor([...atFront(), ...withKey()], nothing);
    expect(byKey.bad()).toEqual([]);
    expect(byKey.of('redis')[0]?.severity).toBe('skipped');
    for (const id of ['mint', 'replay', 'client-address', 'feed', 'clock-nodes']) {
      expect(byKey.of(id)[0]).toMatchObject({ id, severity: 'ok' });
    }
  });

  test('is seen with a token, by another name of this machine, and where refusals are closes', async () => {
    await using closing = await startBroker({
      ...env,
      WS_REJECT: 'close',
      WS_PATH: '/chat',
      VERIFY_HEADERS: 'remote',
    });
    await using at = await startFront({ broker: closing.port });
    const login = await runCommand(['token', 'alice', '--url', closing.url], { stdin: 'correct horse' });
    const url = at.url.replace('127.0.0.1', 'localhost');
    const examined = await doctor(['--url', url, '--path', '/chat'], {
      TICKET_BROKER_TOKEN: login.stdout.trim(),
    });
    expect(examined.bad()).toEqual([]);
    for (const id of ['mint', 'admission', 'replay', 'client-address']) {
      expect(examined.of(id)[0]).toMatchObject({ id, severity: 'ok' });
    }
  });

  test.each([
    ['Sentinel', startSentinels],
    ['a cluster', startCluster],
  ])('is looked at in %s as well', async (_what, start) => {
    const topology = await start(['--appendonly', 'yes']);
    try {
      const REDIS_URL = topology.url;
      await using inIt = await startBroker({ ...env, REDIS_URL });
      await using at = await startFront({ broker: inIt.port });
      const examined = await doctor([...atFront(at.url), ...withKey()], { REDIS_URL });
      // Nobody has limited their default user.
      expect(examined.bad()).toEqual(['warning redis-acl']);
      expect(examined.of('redis-replicas')[0]?.says).toMatch(/^\d replicas?, none of them behind/);
    } finally {
      await topology.dispose();
    }
  });

  test('leaves nothing behind but a revocation of nobody', async () => {
    const before = new Set((await command(redis, 'KEYS', 'wst:*')) as string[]);
    await doctor([...atFront(), ...withKey()]);
    // The first revocation makes the stream that the next ones go into.
    before.add('wst:revocations');
    const left = ((await command(redis, 'KEYS', 'wst:*')) as string[]).filter((key) => !before.has(key));
    // Tombstones and counters, which end by themselves.
    for (const key of left) {
      expect(key).toMatch(/^wst:([tc]:|self-test:)/);
      // Or has ended by now.
      expect(await command(redis, 'PTTL', key)).not.toBe(-1);
    }
  });

  test('prints what is wrong and what to do, for people', async () => {
    const changed = { ...env, PORT: '0', ALLOWED_ORIGINS: '*' };
    const { code, stdout } = await runCommand(['doctor', '--verbose', ...atFront()], { env: changed });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^warning {2}origins {12}ALLOWED_ORIGINS is \*.*\n {28}Name the origins/m);
    expect(stdout).toMatch(/^skipped {2}feed /m);
    expect(stdout).toMatch(/\n1 warning, \d skipped, \d+ ok\n$/);
  });
});

describe('cannot run', () => {
  test.each([
    ['nothing to look at', [], /nothing to check/],
    ['a URL that is none', ['--url', 'broker'], /--url/],
    ['a key that is not there', ['--url', 'http://127.0.0.1:9', '--key-file', '/nowhere'], /--key-file/],
    ['an authority that is not there', ['--url', 'http://127.0.0.1:9', '--ca', '/nowhere'], /--ca/],
  ])('with %s: exits with 2', async (_what, args, words) => {
    const ran = await runCommand(['doctor', ...args]);
    expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(words) });
  });
});

describe('finds nothing to check', () => {
  test('in a log that is empty: exits with 2, and says so', async () => {
    const ran = await runCommand(['doctor', '--proxy-log', '/dev/null']);
    expect(ran).toMatchObject({
      code: 2,
      stdout: 'nothing could be checked: 10 skipped (--verbose tells why)\n',
    });
    const { code, stdout } = await runCommand(['doctor', '--json', '--proxy-log', '/dev/null']);
    expect([code, JSON.parse(stdout).ok]).toEqual([2, false]);
  });

  test('at a path of another host: exits with 2, and shows it nothing', async () => {
    const ran = await runCommand(['doctor', '--url', 'http://127.0.0.1:1', '--path', '//127.0.0.2:1/ws']);
    expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--path') });
  });

  test('in a log that is not there: exits with 2, whatever else it could look at', async () => {
    const ran = await runCommand(['doctor', '--proxy-log', join(tmpdir(), 'no-such.log')]);
    expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--proxy-log') });
    expect(ran.stderr).toContain('ENOENT');
  });

  test('wrong in a log without tickets: exits with 0', async () => {
    const log = join(folder, 'clean.log');
    await writeFile(log, 'GET /ws 101\n');
    const ran = await runCommand(['doctor', '--proxy-log', log]);
    expect(ran).toMatchObject({ code: 0, stdout: '9 skipped, 1 ok (--verbose tells why)\n' });
  });
});

describe('finds what is wrong with Redis:', () => {
  /** Changes something in Redis for one look. */
  const changed = async (change: string[], back: string[], args = atFront()): Promise<Examined> => {
    await command(redis, ...(change as [string, ...string[]]));
    try {
      return await doctor(args);
    } finally {
      await command(redis, ...(back as [string, ...string[]]));
    }
  };
  const policy = (name: string) => ['CONFIG', 'SET', 'maxmemory-policy', name];
  const user = (...more: string[]) => ['ACL', 'SETUSER', 'broker', ...rules, ...more];

  test('an evicting policy', async () => {
    const examined = await changed(policy('allkeys-lru'), policy('noeviction'), []);
    expectBad(examined, ['fault', 'redis-eviction'], /allkeys-lru/, ['fault redis-commands']);
  });

  test('no append-only file', async () => {
    const append = (yes: string) => ['CONFIG', 'SET', 'appendonly', yes];
    const examined = await changed(append('no'), append('yes'));
    expectBad(examined, ['warning', 'redis-persistence'], /log in again.*may enter any room/);
  });

  test('a user who may do everything', async () => {
    const examined = await changed(user('+@all', '~*'), user());
    expectBad(examined, ['warning', 'redis-acl'], /FLUSHALL.*ACL SETUSER.*read keys that are not ours/);
  });

  test('a user who may only flush, by a category', async () => {
    const examined = await changed(user('+@write'), user());
    expectBad(examined, ['warning', 'redis-acl'], /run FLUSHALL, FLUSHDB, SWAPDB:/);
  });

  test('grants that are missing, by name', async () => {
    const examined = await changed(user('-getdel', '-xadd', '-publish'), user(), []);
    expectBad(examined, ['fault', 'redis-commands'], /: GETDEL, XADD, PUBLISH\.$/);
    expect(examined.of('redis-commands')[0]?.todo).toContain('Grant +getdel +xadd +publish');
  });

  test('keys out of reach, and a user who may not even run scripts', async () => {
    const others = await changed(user('resetkeys', '~other:*'), user(), []);
    expectBad(others, ['fault', 'redis-commands'], /keys that begin with wst:/);
    const none = await changed(user('-eval'), user(), []);
    expectBad(none, ['fault', 'redis-commands'], /may not run scripts/);
    const silent = await changed(user('-info'), user(), []);
    expectBad(silent, ['fault', 'redis-info'], /NOPERM/);
  });

  test('a replica', async () => {
    const nobody = ['REPLICAOF', '127.0.0.1', `${await freePort()}`];
    const examined = await changed(nobody, ['REPLICAOF', 'NO', 'ONE'], []);
    expectBad(examined, ['fault', 'redis-role'], /read-only replica/);
  });

  test('that it cannot be reached, and how', async () => {
    const cases: [url: string, words: RegExp][] = [
      [redisUrl(undefined, await freePort()), /ECONNREFUSED/],
      [redisUrl(`broker:${randomBytes(24).toString('hex')}`), /WRONGPASS/],
      [redisUrl(undefined, undefined, 'rediss'), /ETIMEDOUT|ECONNRESET|SSL/],
      [`redis://broker:${redisPassword}@no-such-host.invalid`, /ENOTFOUND|EAI_AGAIN/],
    ];
    for (const [REDIS_URL, words] of cases) {
      expectBad(await doctor([], { REDIS_URL }), ['fault', 'redis'], words);
    }
  });

  test('no password for a Redis that is elsewhere, and one that can be guessed', async () => {
    const open = await doctor([], { REDIS_URL: 'redis://no-such-host.invalid' });
    expectBad(open, ['warning', 'redis-password'], /no password/, ['fault redis']);
    const typed = await doctor([], { REDIS_URL: redisUrl('broker:password') });
    expectBad(typed, ['warning', 'redis-password'], /can be guessed/, ['fault redis']);
  });

  test('a clock that is not this machine’s', async () => {
    const examined = await doctor([], ahead('10'));
    expectBad(examined, ['warning', 'clock-redis'], /(9|10)\.\d s behind/);
  });
});

/** What makes a process see another time. */
const ahead = (seconds: string): NodeJS.ProcessEnv => {
  const preload = execFileSync('faketime', ['-f', '+0s', 'printenv', 'LD_PRELOAD'], {
    encoding: 'utf8',
  }).trim();
  return { LD_PRELOAD: preload, FAKETIME: `+${seconds}s`, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
};

describe('finds what is wrong with the settings:', () => {
  test('all that keeps a broker from starting, at once', async () => {
    const examined = await doctor([], {
      JWT_SECRET: 'short',
      JWT_SECRET_FILE: '',
      TICKET_TTL: 'soon',
      TRUST_PROXY: '0.0.0.0/0',
    });
    expectBad(examined, ['fault', 'config'], /TICKET_TTL/, ['fault config', 'fault config']);
    const said = examined.of('config').map(({ says }) => says.split(' ')[0]);
    expect(said.sort()).toEqual(['JWT_SECRET', 'TICKET_TTL', 'TRUST_PROXY']);
  });

  test('a variable whose name is nearly one that is read', async () => {
    const examined = await doctor([], { ALOWED_ORIGINS: 'https://app.example' });
    expectBad(examined, ['warning', 'config-names'], /ALOWED_ORIGINS is not read: is ALLOWED_ORIGINS meant/);
  });

  test('a secret that looks like an example, and where it is', async () => {
    const weak = { JWT_SECRET: 'your-256-bit-secret-your-256-bit-secret', JWT_SECRET_FILE: '' };
    const examined = await doctor([], weak);
    expectBad(examined, ['fault', 'jwt-secret'], /example/, ['notice jwt-secret-source']);
    const long = await doctor([], { JWT_SECRET: 'a'.repeat(64), JWT_SECRET_FILE: '' });
    expectBad(long, ['fault', 'jwt-secret'], /example/, ['notice jwt-secret-source']);
  });

  test('every origin', async () => {
    expectBad(await doctor([], { ALLOWED_ORIGINS: '*' }), ['warning', 'origins'], /any page/);
  });

  test('the demo, also where nobody has switched it on', async () => {
    const alone = { REDIS_URL: '', USERS_FILE: '', SERVICE_KEYS_FILE: '' };
    const unset = await doctor([], alone);
    expectBad(unset, ['warning', 'demo'], /whoever comes is let in/);
    expect(unset.of('demo')[0]?.todo).toContain('USERS_FILE');
    expectBad(await doctor([], { DEMO: 'on' }), ['warning', 'demo'], /whoever comes is let in/);
    for (const off of [{ ...alone, DEMO: 'off' }, {}]) expect((await doctor([], off)).of('demo')).toEqual([]);
  });

  test('a file that cannot be used, guessing that is free, tokens in URLs, a socket in clear', async () => {
    const users = join(folder, 'bad-users');
    await writeFile(users, 'alice:plain\n');
    const examined = await doctor([], {
      USERS_FILE: users,
      LOGIN_LIMIT: '0',
      WS_ACCEPT: 'ticket,token',
      PUBLIC_WS_URL: 'ws://chat.example.com/ws',
    });
    expectBad(examined, ['fault', 'users-file'], /line 1/, [
      'notice token-in-url',
      'warning limits',
      'warning public-ws-url',
    ]);
  });
});

describe('finds what is wrong with the identity provider:', () => {
  const withKeys = async (body: string, status = 200) => {
    const server = createServer(({ url }, response) => {
      if (url === '/jwks') response.writeHead(status, { location: '/moved' }).end(body);
      else response.end(moved);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const idp = { JWT_ISSUER: 'https://idp.example', JWT_AUDIENCE: 'chat' };
    const examined = await doctor([], { ...idp, JWKS_URL: `http://127.0.0.1:${port}/jwks` });
    server.close();
    return examined;
  };
  let moved = '';
  const hmac = { kty: 'oct', alg: 'HS256', k: 'c2VjcmV0' };

  test('it is down, says something else, or has no key that can be used', async () => {
    const gone = await doctor([], {
      JWT_ISSUER: 'https://idp.example',
      JWT_AUDIENCE: 'chat',
      JWKS_URL: `http://127.0.0.1:${await freePort()}/jwks`,
    });
    expectBad(gone, ['fault', 'jwks'], /ECONNREFUSED/);
    expectBad(await withKeys('oops', 500), ['fault', 'jwks'], /500/);
    expectBad(await withKeys('<html>'), ['fault', 'jwks'], /no JSON/);
    expectBad(await withKeys('{"keys":[]}'), ['fault', 'jwks'], /no key/);
    expectBad(await withKeys(JSON.stringify({ keys: [hmac] })), ['fault', 'jwks'], /symmetric/);
    const { publicKey } = await generateKeyPair('ES256', { extractable: true });
    const keys = JSON.stringify({ keys: [hmac, { ...(await exportJWK(publicKey)), alg: 'ES256' }] });
    const good = await withKeys(keys);
    expect(good.bad()).toEqual([]);
    expect(good.of('jwks')[0]?.says).toContain('1 usable keys at JWKS_URL: ES256');
    // No node follows it, or takes anything but 200.
    moved = keys;
    expectBad(await withKeys('', 302), ['fault', 'jwks'], /it answers 302/);
    expectBad(await withKeys(keys, 203), ['fault', 'jwks'], /it answers 203/);
  });
});

describe('finds what is wrong at the entrance:', () => {
  const behind = async (
    options: Partial<FrontOptions>,
    look: (at: Front) => Promise<Examined> = ({ url }) => doctor(atFront(url)),
  ) => {
    await using at = await startFront({ broker: broker.port, ...options });
    return await look(at);
  };

  test('TRUST_PROXY is missing', async () => {
    await using untrusting = await startBroker({ ...env, TRUST_PROXY: '' });
    const examined = await behind({ broker: untrusting.port }, ({ url }) =>
      doctor(atFront(url), { TRUST_PROXY: '' }),
    );
    expectBad(
      examined,
      ['fault', 'client-address'],
      /take every visitor for 127\.0\.0\.1, which is the proxy/,
    );
    expect(examined.of('client-address')[0]?.todo).toMatch(/^Set TRUST_PROXY/);
  });

  test('the proxy does not tell who comes', async () => {
    const examined = await behind({ forwardedFor: '' });
    expectBad(examined, ['fault', 'client-address'], /take every visitor for 127\.0\.0\.1/);
    expect(examined.of('client-address')[0]?.todo).toMatch(/^Let the proxy tell them/);
  });

  test.each([
    ['passed on as it comes', '$http_x_forwarded_for'],
    ['put first', '$remote_addr, $http_x_forwarded_for'],
    ['of another name', '$http_x_real_ip'],
  ])('a forwarded header from outside is believed, %s', async (_how, forwardedFor) => {
    expectBad(
      await behind({ forwardedFor }),
      ['fault', 'client-address'],
      /X-Forwarded-For, or a header like it, is believed/,
    );
  });

  test('one that is continued is not, for the proxy alone is trusted', async () => {
    expect((await behind({ forwardedFor: '$proxy_add_x_forwarded_for' })).bad()).toEqual([]);
  });

  test('the proxy logs tickets, in the query and as subprotocols', async () => {
    const look = ({ url, accessLog }: Front) => doctor([...atFront(url), '--proxy-log', accessLog]);
    expectBad(await behind({ logged: '$request' }, look), ['fault', 'proxy-log'], /logs the query/);
    const headers = { logged: '$uri $http_sec_websocket_protocol' };
    expectBad(await behind(headers, look), ['fault', 'proxy-log'], /logs Sec-WebSocket-Protocol/);
  });

  test('tickets in an old log; a log of another proxy is not called clean', async () => {
    const log = join(folder, 'old.log');
    await writeFile(log, `GET /ws?ticket=wst_${'A'.repeat(43)} 101\n`);
    expectBad(await doctor(['--proxy-log', log]), ['fault', 'proxy-log'], /holds 1 tickets/);
    const other = await doctor([...atFront(), '--proxy-log', log]);
    expectBad(other, ['warning', 'proxy-log'], /holds 1 tickets/);
    await writeFile(log, 'nothing\n');
    const idle = await doctor([...atFront(), '--proxy-log', log]);
    expect(idle.of('proxy-log')[0]).toMatchObject({
      severity: 'skipped',
      says: expect.stringMatching(/Nothing/),
    });
  });

  test('/verify answers from outside', async () => {
    expectBad(await behind({ locations: '' }), ['fault', 'verify-outside'], /401 invalid_ticket/);
  });

  test('/metrics is read from outside, through the proxy or past it', async () => {
    const METRICS_PORT = `${await freePort()}`;
    await using open = await startBroker({ ...env, HOST: '0.0.0.0', METRICS_PORT });
    const locations = `location /verify { return 404; } location /metrics { proxy_pass http://127.0.0.1:${METRICS_PORT}; }`;
    const through = await behind({ broker: open.port, locations });
    expectBad(through, ['warning', 'metrics-outside'], /may read \/metrics\.$/);
    const past = await behind({ broker: open.port }, ({ url }) =>
      doctor(atFront(url), { HOST: '0.0.0.0', METRICS_PORT }),
    );
    expectBad(past, ['warning', 'metrics-outside'], new RegExp(`127.0.0.1:${METRICS_PORT}`));
  });

  test('the proxy knows no WebSockets', async () => {
    expectBad(await behind({ upgrades: false }), ['fault', 'admission'], /No WebSocket opens at \/ws: 4\d\d/);
  });

  test('the proxy holds the feed back', async () => {
    const locations = `location /verify { return 404; }
      error_page 418 = @slow;
      location = /revocations {
        if ($request_method = GET) { return 418; }
        proxy_pass http://127.0.0.1:${broker.port};
      }
      location @slow {
        proxy_ignore_headers X-Accel-Buffering;
        limit_rate 1;
        proxy_pass http://127.0.0.1:${broker.port};
      }`;
    const examined = await behind({ locations }, ({ url }) => doctor([...atFront(url), ...withKey()]));
    expectBad(examined, ['fault', 'feed'], /along the feed within 5 s|The feed does not/);
  });

  test('nodes have another store than this environment', async () => {
    const examined = await doctor(atFront(), { KEY_PREFIX: 'wst:other:', CHAT: 'off' });
    expectBad(examined, ['fault', 'admission'], /fresh ticket is refused: 401/);
    expect(examined.of('admission')[0]?.todo).toContain('KEY_PREFIX');
  });

  test('a key that is none; keys that may do less are told so', async () => {
    const key = async (text: string) => {
      await writeFile(join(folder, 'other-key'), text);
      return doctor([...atFront(), ...withKey(join(folder, 'other-key'))]);
    };
    const none = await key('no-such-key');
    expectBad(none, ['fault', 'mint'], /401 invalid_token/);
    const reader = await key(keyOf('reader'));
    expect(reader.bad()).toEqual([]);
    expect(reader.of('mint')[0]).toMatchObject({ severity: 'skipped' });
    expect(reader.of('replay')[0]).toMatchObject({ severity: 'ok' });
    expect(reader.of('feed')[0]).toMatchObject({ severity: 'skipped', says: 'The key does not revoke.' });
    const minter = await key(keyOf('minter'));
    expect(minter.bad()).toEqual([]);
    expect(minter.of('feed')[0]).toMatchObject({ severity: 'skipped' });
  });

  test('nobody is there, it is somewhere else, or the nodes are gone', async () => {
    const port = await freePort();
    expectBad(await doctor(atFront(`http://127.0.0.1:${port}`)), ['fault', 'url'], /ECONNREFUSED/);
    const moved = await behind({ locations: 'location = /healthz { return 308 https://broker.example/; }' });
    expectBad(moved, ['fault', 'url'], /sends visitors to https:\/\/broker\.example/);
    expectBad(await behind({ broker: port }), ['fault', 'url'], /502/);
    const node = await doctor(['--node', `http://127.0.0.1:${port}`]);
    expectBad(node, ['fault', 'ready'], /ECONNREFUSED/);
  });

  test('what is asked while sockets are open is cut off, and it ends all the same', async () => {
    const locations = 'location /sessions { return 444; } location /verify { return 404; }';
    await using at = await startFront({ broker: broker.port, locations });
    const running = startCommand(['doctor', '--json', ...atFront(at.url), ...withKey()]);
    try {
      await until(() => running.process.exitCode !== null, 'it has ended', 20);
    } finally {
      running.process.kill();
    }
    const { stdout, code } = await running.ended();
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const admission = findings.find(({ id }) => id === 'admission');
    expect([code, admission]).toEqual([
      1,
      expect.objectContaining({ severity: 'fault', says: expect.stringContaining('stopped answering') }),
    ]);
  });

  test('a log is looked at behind which anybody is let in, and it ends all the same', async () => {
    const anybody = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      handleProtocols: () => 'ticket-broker',
    });
    await once(anybody, 'listening');
    const { port } = anybody.address() as AddressInfo;
    const log = join(folder, 'let-in.log');
    await writeFile(log, '');
    await using at = await startFront({
      broker: broker.port,
      locations: `location = /ws { proxy_pass http://127.0.0.1:${port}; } location /verify { return 404; }`,
    });
    const running = startCommand(['doctor', '--json', ...atFront(at.url), '--proxy-log', log]);
    try {
      await until(() => running.process.exitCode !== null, 'it has ended', 20);
      expect(anybody.clients.size).toBe(0);
    } finally {
      running.process.kill();
      for (const socket of anybody.clients) socket.terminate();
      anybody.close();
    }
  });

  test('a node cannot serve, and says why', async () => {
    await using lost = await startBroker({ ...env, REDIS_URL: redisUrl(undefined, await freePort()) });
    const examined = await doctor(['--node', lost.url]);
    expectBad(examined, ['fault', 'ready'], /cannot serve \(503\): The store cannot be reached/);
  });

  test('what answers there is no broker, but has a page for every path', async () => {
    const page = createServer((_request, response) => response.end('<h1>Welcome</h1>')).listen(
      0,
      '127.0.0.1',
    );
    await once(page, 'listening');
    const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    const words = /answers 200 at \/readyz, and not as a broker/;
    const fromOutside = await runCommand(['doctor', '--json', '--url', url]);
    const directly = await doctor(['--node', url]);
    page.close();
    expectBad(directly, ['fault', 'ready'], words);
    const { findings } = JSON.parse(fromOutside.stdout) as { findings: Finding[] };
    expect([fromOutside.code, findings.find(({ id }) => id === 'ready')]).toEqual([
      1,
      expect.objectContaining({ severity: 'fault', says: expect.stringMatching(words) }),
    ]);
  });

  test('a certificate that is not trusted, or ends soon; a page that may not open what tickets name', async () => {
    using ca = startAuthority();
    const tls = ca.issue('front', 'IP:127.0.0.1');
    const distrusted = await behind({ tls });
    expectBad(distrusted, ['fault', 'certificate'], /not trusted here/, ['fault url']);
    const insecure = await behind({ tls }, ({ url }) => doctor([...atFront(url), '--insecure']));
    expectBad(insecure, ['notice', 'certificate'], /--insecure went on/);
    const trusted = ({ url }: Front) => doctor([...atFront(url), '--ca', ca.certFile, ...withKey()]);
    expectBad(await behind({ tls }, trusted), ['warning', 'certificate'], /expires in 1 days/);
    const inClear = await behind({ tls, forwardedProto: 'http' }, trusted);
    expectBad(inClear, ['warning', 'ticket-url'], /ws:\/\//, ['warning certificate']);
  });

  test('the clock of a node', async () => {
    await using late = await startBroker({ ...env, ...ahead('30') });
    const through = await behind({ broker: late.port });
    expectBad(through, ['fault', 'clock-nodes'], /The clock of node .* is \d+\.\d s ahead/);
    const directly = await doctor(['--node', late.url]);
    expectBad(directly, ['fault', 'clock-nodes'], /(2\d\.\d|30\.0) s ahead/);
  });
});
