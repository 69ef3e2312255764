import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { repository } from './broker-process.ts';
import { until } from './e2e-until.ts';
import { freePort, listening } from './redis-server.ts';

/** A proxy as `examples/` configures it, with its ports moved. */
export interface Door extends AsyncDisposable {
  port: number;
  /** What it has logged of requests. */
  accessLog(): Promise<string>;
  /** What it has said on stderr. */
  errors(): Promise<string>;
}

export type ProxyName = keyof typeof examples;

const examples = {
  nginx: { command: 'nginx', args: ['-p', './', '-c', 'nginx.conf', '-g', 'daemon off;'] },
  caddy: { command: 'caddy', args: ['run', '--config', 'Caddyfile'] },
  haproxy: { command: 'haproxy', args: ['-f', 'haproxy.cfg'] },
};

/** @param to the ports of the broker and of the chat node */
export async function startProxy(name: ProxyName, to: { broker: number; node: number }): Promise<Door> {
  const { command, args } = examples[name];
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), `${name}-`));
  const example = join(repository, 'examples', name);
  for (const file of await readdir(example)) {
    const moved = (await readFile(join(example, file), 'utf8'))
      .replaceAll('127.0.0.1:8000', `127.0.0.1:${port}`)
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${to.broker}`)
      .replaceAll('127.0.0.1:9000', `127.0.0.1:${to.node}`);
    await writeFile(join(folder, file), moved);
  }
  await mkdir(join(folder, 'tmp'));
  // HAProxy prints its access log; the others write it themselves, and print nothing there.
  const printed = await open(join(folder, 'access.log'), 'a');
  const errors = await open(join(folder, 'errors'), 'a');
  const child = spawn(command, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder },
    stdio: ['ignore', printed.fd, errors.fd],
  });
  await Promise.all([printed.close(), errors.close()]);
  await listening(port, child);
  return {
    port,
    accessLog: () => readFile(join(folder, 'access.log'), 'utf8'),
    errors: () => readFile(join(folder, 'errors'), 'utf8'),
    async [Symbol.asyncDispose]() {
      await stop(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const chatNodes = {
  // Where another version of `websockets` is to be tried, TEST_PYTHON names a Python that has it.
  python: [process.env['TEST_PYTHON'] ?? '/usr/bin/python3', 'examples/chat-node-python/chat_node.py'],
  ws: [process.execPath, 'examples/chat-node-ws/chat-node.js'],
} as const;

/** The status with which a chat node of `examples/` answers a handshake: 101, or 503 while it cannot follow the feed. */
export async function statusOf({ port }: { port: number }): Promise<number | undefined> {
  const now = Math.floor(Date.now() / 1000);
  const headers = {
    'X-Auth-Request-User': 'passer-by',
    'X-Auth-Request-Session': 'none',
    'X-Auth-Request-Expires': `${now + 60}`,
    'X-Auth-Request-Auth-Time': `${now}`,
  };
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (request, { statusCode }) => {
      request.destroy();
      resolve(statusCode);
    });
    socket.on('open', () => socket.close());
    socket.on('close', () => resolve(101));
    socket.on('error', reject);
  });
}

/** A chat node of `examples/`. Waits until it admits people, unless it is not going to. */
export async function startChatNode(
  name: keyof typeof chatNodes,
  env: NodeJS.ProcessEnv,
  { admits = true } = {},
): Promise<{ port: number } & AsyncDisposable> {
  const [command, file] = chatNodes[name];
  const port = await freePort();
  const child = spawn(command, [join(repository, file)], {
    env: { PORT: `${port}`, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await listening(port, child);
  if (admits) await until(async () => (await statusOf({ port })) === 101, 'the chat node follows the feed');
  return { port, [Symbol.asyncDispose]: () => stop(child) };
}

/** Ends a process that a test has started, and waits for its end. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 3000);
  await exited;
  clearTimeout(late);
}
