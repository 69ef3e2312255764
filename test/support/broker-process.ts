import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashPassword } from '../../src/credentials/passwords.ts';
import { until } from './e2e-until.ts';

export const repository = join(import.meta.dirname, '../..');
export const password = 'correct horse battery staple';
const passwordHash = hashPassword(password);
const jwtSecret = randomBytes(32).toString('base64url');

// A test run that is killed takes its brokers with it: their stdin ends.
const endsWithUs = 'data:text/javascript,process.stdin.resume().unref().on("end",()=>process.exit(70))';

export interface Minted {
  ticket: string;
  ticket_id: string;
  expires_in: number;
  url: string;
}

export interface BrokerProcess extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  url: string;
  port: number;
  pid: number;
  /** All that it has printed. */
  output(): string;
  /** The decision lines of its log, oldest first. */
  decisions(): Record<string, unknown>[];
  /** A token of `alice`, by logging in once. */
  token(): Promise<string>;
  /** A ticket of `alice`. */
  mint(body?: object): Promise<Minted>;
  /** Sends SIGTERM. @returns the exit code */
  stop(): Promise<number | null>;
}

/** The variables that several processes of one deployment have in common. */
export function sharedStore(redisUrl: string): NodeJS.ProcessEnv {
  return { REDIS_URL: redisUrl, KEY_PREFIX: `e2e-${randomBytes(6).toString('hex')}:` };
}

/**
 * Starts the product as `npm start` does, on a free port, with the user `alice` unless `env` says otherwise, and waits for
 * it to listen. Nothing of our own environment is passed on but PATH.
 */
export async function startBroker(env: NodeJS.ProcessEnv = {}): Promise<BrokerProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'ticket-broker-'));
  const usersFile = join(folder, 'users');
  await writeFile(usersFile, `alice:${await passwordHash}\n`);

  const child = spawn(process.execPath, ['--import', endsWithUs, 'src/main.ts', 'serve'], {
    cwd: repository,
    env: {
      PATH: process.env['PATH'],
      PORT: '0',
      LOG_LEVEL: 'debug',
      USERS_FILE: usersFile,
      JWT_SECRET: jwtSecret,
      ...env,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  // Not 'exit': what it printed last may not have been read by then.
  const closed = once(child, 'close');
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const lines = () => output.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
  const logged = () => lines().map((line) => JSON.parse(line) as Record<string, unknown>);

  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
    await closed;
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true });
    // Whatever a test did to it: nothing that opens anything is ever in the log.
    const leaks = secretsIn(output);
    if (leaks.length > 0) throw new Error(`the broker printed ${leaks.length} secrets:\n${leaks.join('\n')}`);
    return child.exitCode;
  };

  const listening = () => logged().find(({ msg }) => msg === 'listening');
  try {
    await until(() => listening() !== undefined || hasEnded(), 'the broker listens');
    if (hasEnded()) throw new Error(`the broker ended with ${child.exitCode}:\n${output}`);
  } catch (error) {
    await stop();
    throw error;
  }
  const url = String(listening()?.['url']);
  let token: Promise<string> | undefined;

  const broker: BrokerProcess = {
    url,
    port: Number(new URL(url).port),
    pid: child.pid ?? 0,
    output: () => output,
    decisions: () => logged().filter((line) => 'decision' in line),
    async token() {
      token ??= post<{ token: string }>(`${url}/api/login`, { username: 'alice', password }).then(
        (answer) => answer.token,
      );
      return token;
    },
    async mint(body = {}) {
      return post<Minted>(`${url}/tickets`, body, { authorization: `Bearer ${await broker.token()}` });
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
  return broker;
}

/** What of a text is a ticket, a JWT, or the password or key that the tests use. */
export function secretsIn(text: string): string[] {
  const forms = /wst_[\w-]{43}|eyJ[\w-]+\.[\w-]+\.[\w-]*/g;
  const known = [password, encodeURIComponent(password), jwtSecret].filter((secret) => text.includes(secret));
  return [...(text.match(forms) ?? []), ...known];
}

async function post<T>(url: string, body: object, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`POST ${new URL(url).pathname}: ${response.status}`);
  return (await response.json()) as T;
}
