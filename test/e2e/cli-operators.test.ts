import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { connect } from '../../src/store/connection.ts';
import { redisRegistry } from '../../src/store/redis-registry.ts';
import { type BrokerProcess, sharedStore, startBroker } from '../support/broker-process.ts';
import { runCommand, startCommand } from '../support/e2e-cli.ts';
import { until } from '../support/e2e-until.ts';
import { freePort } from '../support/redis-server.ts';

let folder: string;
let keysFile: string;
let opsKeyFile: string;
let opsKey: string;
let store: NodeJS.ProcessEnv;
let brokers: [BrokerProcess, BrokerProcess];

/** Two nodes; the key of `ops` is made with the command, while they run. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-'));
  keysFile = join(folder, 'service-keys');
  opsKeyFile = join(folder, 'ops.key');
  await writeFile(keysFile, '# of the shop\n');
  store = sharedStore(inject('redisUrl'));
  const env = { ...store, SERVICE_KEYS_FILE: keysFile };
  brokers = [await startBroker(env), await startBroker(env)];
  const added = await keys('add', 'ops', '--scope', 'revoke', 'sessions:read');
  opsKey = added.stdout.trim();
  await writeFile(opsKeyFile, added.stdout);
});
afterAll(async () => {
  await Promise.all((brokers ?? []).map((broker) => broker.stop()));
  await rm(folder, { recursive: true, force: true });
});

const keys = (...args: string[]) => runCommand(['keys', ...args], { env: { SERVICE_KEYS_FILE: keysFile } });
const at = (broker = brokers[0]) => ['--url', broker.url];
const withKey = () => ['--key-file', opsKeyFile];

/** A socket of alice's at a node. */
const open = async (broker: BrokerProcess) => {
  const { ticket, ticket_id } = await broker.mint();
  const socket = new WebSocket(`ws://127.0.0.1:${broker.port}/ws`, ['chat', `ticket.${ticket}`]);
  const [data] = await once(socket, 'message');
  const closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
  return { ticket, ticket_id, closed, session_id: JSON.parse(String(data)).session_id as string };
};

describe('keys', () => {
  test('adds, lists and removes services, and keeps their hashes only', async () => {
    const added = await keys('add', 'backend', '--scope', 'tickets:mint,revoke', '--scope', 'sessions:read');
    expect(added).toMatchObject({ code: 0, stdout: expect.stringMatching(/^wsk_[\w-]{43}\n$/) });
    const text = await readFile(keysFile, 'utf8');
    expect(text).toMatch(/^# of the shop\n/);
    expect(text).not.toContain(added.stdout.trim());
    expect((await stat(keysFile)).mode & 0o777).toBe(0o644);

    const listed = await keys('list');
    expect(listed.stdout).toBe('ops  revoke,sessions:read\nbackend  tickets:mint,revoke,sessions:read\n');
    expect(await keys('remove', 'backend')).toMatchObject({ code: 0, stdout: 'removed backend\n' });
    expect(await keys('remove', 'backend')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('backend'),
    });
    expect((await keys('list')).stdout).toBe('ops  revoke,sessions:read\n');
  });

  test('never replaces the key of a service that is there', async () => {
    const before = await readFile(keysFile, 'utf8');
    expect(await keys('add', 'ops', '--scope', 'revoke')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('there is a service ops'),
    });
    expect(await readFile(keysFile, 'utf8')).toBe(before);
  });

  test('makes a file that only its owner reads where there is none', async () => {
    const file = join(folder, 'new-keys');
    const added = await runCommand(['keys', 'add', 'a', '--scope', 'revoke', '--file', file]);
    expect(added.code).toBe(0);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['keys', 'list'],
    ['keys', 'remove', 'ops'],
    ['users', 'list'],
    ['users', 'remove', 'bob'],
  ])('makes no file of a mistyped name: %s %s', async (...args) => {
    const file = join(folder, 'typo');
    const ran = await runCommand([...args, '--file', file]);
    expect(ran).toEqual({ code: 1, stdout: '', stderr: `ticket-broker: there is no file ${file}\n` });
    expect((await readdir(folder)).filter((name) => name.startsWith('typo'))).toEqual([]);
  });

  test.each([
    [['add', 'x'], '--scope'],
    [['add', 'x', '--scope', 'tickets'], '--scope'],
    [['add', 'a b', '--scope', 'revoke'], 'a name has'],
    [['nonsense'], 'nonsense'],
  ])('says what is wrong with %j', async (args, named) => {
    const ran = await keys(...args);
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.stderr).toContain(named);
  });
});

describe('revoke', () => {
  test('ends a subject on all nodes, and tells the clients why', async () => {
    const open2 = [await open(brokers[0]), await open(brokers[1])];
    const ran = await runCommand(['revoke', '--sub', 'alice', '--reason', 'left', ...withKey(), ...at()]);
    expect(ran).toEqual({ code: 0, stdout: 'revoked: 2 sessions\n', stderr: '' });
    for (const { closed } of open2) expect(await closed).toEqual({ code: 3003, reason: 'left' });
  });

  test('spares what was authenticated after --before', async () => {
    const { session_id } = await open(await relogged());
    for (const before of ['2020-01-01T00:00:00Z', '1577836800']) {
      const ran = await runCommand(['revoke', '--sub', 'alice', '--before', before, ...withKey(), ...at()]);
      expect(ran.stdout).toBe('revoked: 0 sessions\n');
    }
    const ran = await runCommand(['revoke', '--session', session_id, ...withKey(), ...at()]);
    expect(ran.stdout).toBe('revoked: 1 session\n');
  });

  test('ends the session that a ticket opened, by the id of the ticket; the key comes from the environment or stdin', async () => {
    const broker = await relogged();
    const first = await open(broker);
    const env = { TICKET_BROKER_KEY: opsKey };
    const ran = await runCommand(['revoke', '--ticket', first.ticket_id, ...at()], { env });
    expect(ran.stdout).toBe('revoked: 1 session\n');
    expect((await first.closed).code).toBe(3003);

    const second = await open(broker);
    const piped = { stdin: `${opsKey}\n` };
    const again = await runCommand(['revoke', '--ticket', second.ticket_id, ...at()], piped);
    expect(again.stdout).toBe('revoked: 1 session\n');
  });

  test.each([
    [[], '--sub'],
    [['--sub', 'a', '--ticket', 'b'], '--ticket'],
    [['--session', 'x'], '--session'],
    [['--before', 'soon', '--sub', 'a'], '--before'],
    [['--url', 'broker', '--sub', 'a'], '--url'],
    // Another application is behind the other paths, and would be sent the key.
    [['--url', 'https://broker.example/tickets', '--sub', 'a'], '--url'],
    [['--url', 'https://broker.example/?a', '--sub', 'a'], '--url'],
    [['--url', 'https://me:secret@broker.example', '--sub', 'a'], '--url'],
    [['--url', 'http://evil.example\\.broker.example', '--sub', 'a'], '--url'],
  ])('with %j exits with 2 and names the option', async (args, option) => {
    const ran = await runCommand(['revoke', ...args, ...withKey()]);
    expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(option) });
  });

  test('takes no ticket for its id, and does not print it', async () => {
    const ticket = `wst_${'A'.repeat(43)}`;
    const ran = await runCommand(['revoke', '--ticket', ticket, ...withKey()]);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('ticket_id') });
    expect(ran.stderr).not.toContain(ticket);
  });

  test('says what the broker said, and that there is none', async () => {
    const refused = await runCommand(['revoke', '--sub', 'a', ...at()], { stdin: 'no-such-key' });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('401 invalid_token') });
    const garbled = await runCommand(['revoke', '--sub', 'a', ...at()], { stdin: 'not a key' });
    expect(garbled).toMatchObject({ code: 1, stderr: expect.stringContaining('service key') });
    expect(garbled.stderr).not.toContain('not a key');
    const nobody = ['--url', `http://127.0.0.1:${await freePort()}`];
    const lost = await runCommand(['revoke', '--sub', 'a', ...nobody], { stdin: 'key' });
    expect(lost).toMatchObject({ code: 1, stderr: expect.stringMatching(/127\.0\.0\.1:\d+ .*ECONNREFUSED/) });
    const absent = await runCommand(['revoke', '--sub', 'a', '--key-file', '/nowhere', ...at()]);
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining('--key-file') });
  });
});

/** The first node, once alice may come in again: whatever was revoked before is older than her new login. */
const relogged = async (): Promise<BrokerProcess> => {
  const [broker] = brokers;
  const login = await runCommand(['token', 'alice', '--url', broker.url], {
    stdin: 'correct horse battery staple',
  });
  const token = login.stdout.trim();
  return {
    ...broker,
    async mint() {
      const answer = await fetch(`${broker.url}/tickets`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      return (await answer.json()) as Awaited<ReturnType<BrokerProcess['mint']>>;
    },
  };
};

describe('sessions', () => {
  test('lists all pages, as JSON and as a table', async () => {
    const url = String(store['REDIS_URL']);
    const connection = connect({ url, commandTimeout: 1000 });
    const registry = redisRegistry({
      connection,
      prefix: String(store['KEY_PREFIX']),
      node: 'node-of-many',
      now: Date.now,
      sessionTtl: 60,
    });
    const now = Math.floor(Date.now() / 1000);
    const session = { username: 'bob\u001b[2J', node: 'node-of-many', ip: '198.51.100.7', via: 'query' };
    const times = { since: now, exp: now + 60, auth_time: now };
    await until(async () => {
      await connection.info();
      return true;
    }, 'Redis is connected');
    const all = Array.from({ length: 450 }, (_, index) => `${index}`.padStart(22, 's'));
    await Promise.all(
      all.map((session_id) => registry.add({ ...session, ...times, session_id, sub: `bob-${session_id}` })),
    );

    const json = await runCommand(['sessions', '--json', ...withKey(), ...at()]);
    const lines = json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const many = lines.filter(({ node }) => node === 'node-of-many');
    expect(new Set(many.map(({ session_id }) => session_id))).toEqual(new Set(all));

    const table = await runCommand(['sessions', ...withKey(), ...at()]);
    expect(table.stdout.split('\n')[0]).toMatch(/^SESSION +SINCE +UNTIL +VIA +IP +NODE {2}SUB$/);
    expect(table.stdout).toContain('198.51.100.7');
    expect(table.stdout).not.toContain('\u001b');
    // What it says that it is doing, where that takes over a second, comes before.
    expect(table.stderr).toMatch(/^(listing sessions: \d+ so far \(\d+ s\)\n)*\d+ sessions\n$/);

    const [one = ''] = all;
    const own = await runCommand(['sessions', '--sub', `bob-${one}`, '--json', ...withKey(), ...at()]);
    expect(JSON.parse(own.stdout)).toMatchObject({ session_id: one, sub: `bob-${one}` });
    await registry.close();
    await connection.close();
  });

  test('says what it is doing when that takes over a second', async () => {
    const slow = createServer((_request, response) => {
      setTimeout(() => response.setHeader('content-type', 'application/json').end('{"sessions":[]}'), 1600);
    });
    slow.listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const { port } = slow.address() as { port: number };
    const args = ['sessions', ...withKey(), '--url', `http://127.0.0.1:${port}`];
    // The seconds are those that it took until then: more than one where the machine is busy.
    expect((await runCommand(args)).stderr).toMatch(
      /^listing sessions: 0 so far \([1-9]\d* s\)\n0 sessions\n$/,
    );
    const seen = startCommand(args, { terminal: true });
    // Written over once it is done.
    const screen = (await seen.ended()).stdout;
    const [, last = ''] = screen.split(/listing sessions: 0 so far \([1-9]\d* s\)(?!.*listing)/s);
    expect(last).toBe('\r\u001b[K0 sessions\r\n');
    slow.close();
  });

  test('needs its scope', async () => {
    const { stdout } = await keys('add', 'minter', '--scope', 'tickets:mint');
    const ran = await runCommand(['sessions', ...at()], { stdin: stdout });
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('sessions:read') });
  });
});

test.each(['', 'keys', 'keys add', 'revoke', 'sessions'])(
  'help of `%s` has examples or commands',
  async (path) => {
    const ran = await runCommand([...path.split(' ').filter(Boolean), '--help']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout).toMatch(/Examples:|Commands:/);
  },
);

test.each([
  ['serve', '--help'],
  ['keys', 'list'],
])('`%s %s` ends quietly where nobody reads what it prints', async (...args) => {
  const running = startCommand(args, { env: { SERVICE_KEYS_FILE: keysFile } });
  running.process.stdout.destroy();
  // As SIGPIPE ends other programs.
  expect(await running.ended()).toEqual({ code: 128 + 13, stdout: '', stderr: '' });
});
