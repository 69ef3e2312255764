import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repository, secretsIn } from '../support/broker-process.ts';
import { until } from '../support/e2e-until.ts';

// What somebody has who has cloned the repository: a shell, this Node, and nothing configured.
const env: NodeJS.ProcessEnv = {
  PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
  HOME: process.env['HOME'],
  npm_config_offline: 'true',
};

interface Shell {
  process: ChildProcess;
  stdout: () => string;
  stderr: () => string;
}

const shells = new Set<ChildProcess>();
const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;
// npm is at least three processes deep: the whole group goes, however we end.
const endAll = (signal: NodeJS.Signals) => {
  for (const shell of shells) if (shell.pid && !hasEnded(shell)) process.kill(-shell.pid, signal);
};
process.on('exit', () => endAll('SIGKILL'));

function start(command: string, variables: NodeJS.ProcessEnv = {}): Shell {
  const child = spawn('bash', ['-c', command], {
    cwd: repository,
    env: { ...env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  shells.add(child);
  const texts = [child.stdout, child.stderr].map((stream) => {
    let text = '';
    stream?.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    return () => text;
  }) as [() => string, () => string];
  return { process: child, stdout: texts[0], stderr: texts[1] };
}

const run = async (command: string, variables: NodeJS.ProcessEnv = {}) => {
  const shell = start(command, variables);
  const [code] = await once(shell.process, 'close');
  return { code, stdout: shell.stdout(), stderr: shell.stderr() };
};

let server: Shell;
let told: string;
let lines: string[];

beforeAll(async () => {
  server = start('npm start', { PORT: '0' });
  await until(
    () => server.stderr().includes('opens one socket') || server.process.exitCode !== null,
    `npm start says what to do`,
  );
  told = server.stderr();
  lines = told
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());
});
afterAll(async () => {
  endAll('SIGTERM');
  await until(() => [...shells].every(hasEnded), 'all have ended');
  shells.clear();
});

test('npm start says what is lost when it ends', () => {
  for (const lost of ['REDIS_URL is unset', 'JWT_SECRET is unset']) expect(server.stdout()).toContain(lost);
});

describe('the three lines that npm start prints', () => {
  test('are three', () => {
    expect(lines).toHaveLength(3);
  });

  test('open a socket, and the third one again is refused', async () => {
    const [getToken, getTicket, connect] = lines as [string, string, string];
    const { stdout } = await run(`${getToken}\n${getTicket}\necho "$TICKET"`);
    const TICKET = stdout.trim();
    expect(TICKET).toMatch(/^wst_[\w-]{43}$/);

    const open = start(connect, { TICKET });
    await until(
      () => open.stdout().includes('"type":"welcome"') || open.process.exitCode !== null,
      'a welcome',
    );
    expect(JSON.parse(open.stdout())).toMatchObject({ type: 'welcome', sub: 'demo' });

    const again = await run(connect, { TICKET });
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toContain('401 invalid_ticket');
    // The refused one has not disturbed the open one.
    expect(open.process.exitCode).toBeNull();
  });
});

describe('curl alone', () => {
  const curl = async (...args: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      // 28 is the time limit, which ends a socket that has been opened.
      execFile('curl', ['-sS', '--max-time', '5', ...args], { env }, (error, stdout) =>
        error && error.code !== 28 ? reject(error) : resolve(stdout),
      );
    });

  test('logs in, mints and opens, once', async () => {
    const url = urlOf();
    const json = ['-H', 'content-type: application/json'];
    const login = JSON.stringify({ username: 'demo', password: passwordOf() });
    const { token } = JSON.parse(await curl(...json, '-d', login, `${url}/api/login`));
    const { ticket } = JSON.parse(
      await curl('-X', 'POST', '-H', `authorization: Bearer ${token}`, `${url}/tickets`),
    );
    const handshake = [
      '-iN',
      ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'].flatMap((line) => [
        '-H',
        line,
      ]),
      ...['-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
      `${url}/ws?ticket=${ticket}`,
    ];
    expect(await curl(...handshake)).toMatch(/^HTTP\/1\.1 101 [\s\S]*"type":"welcome"/);
    expect(await curl(...handshake)).toMatch(/^HTTP\/1\.1 401 [\s\S]*"error":"invalid_ticket"/);
  });
});

test('the log on stdout holds nothing secret', () => {
  expect(server.stdout()).toContain('"msg":"listening"');
  expect(secretsIn(server.stdout())).toEqual([]);
  expect(server.stdout()).not.toContain(passwordOf());
});

const urlOf = () => /--url (\S+?)\)?$/m.exec(told)?.[1] ?? '';
const passwordOf = () => /password (\S+)/.exec(told)?.[1] ?? 'no password was told';
