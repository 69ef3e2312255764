import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RedisServer {
  url: string;
  dir: string;
  port: number;
  process: ChildProcess;
  /** Starts again on the same port and folder, after `stop` or a kill. */
  restart(): Promise<void>;
  /** Ends the process and waits for it; what is in its folder stays. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the process and removes its folder. */
  dispose(): Promise<void>;
}

/**
 * A redis-server of our own on a free loopback port, without persistence unless the arguments say otherwise.
 *
 * @param first arguments that have to stand before all others: a configuration file, `--sentinel`
 */
export async function startRedisServer(
  args: readonly string[] = [],
  first: readonly string[] = [],
): Promise<RedisServer> {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'ticket-broker-redis-'));
  const sentinel = first.includes('--sentinel');
  const defaults = ['--bind', '127.0.0.1', '--daemonize', 'no'];
  if (!sentinel) defaults.push('--save', '', '--appendonly', 'no');
  const start = async () => {
    const child = spawn('redis-server', [...first, '--port', `${port}`, '--dir', dir, ...defaults, ...args], {
      stdio: 'ignore',
    });
    await listening(port, child);
    return child;
  };

  const server: RedisServer = {
    url: `redis://127.0.0.1:${port}`,
    dir,
    port,
    process: await start(),
    async restart() {
      server.process = await start();
    },
    async stop(signal = 'SIGTERM') {
      if (server.process.exitCode !== null || server.process.signalCode !== null) return;
      const exited = once(server.process, 'exit');
      server.process.kill(signal);
      await exited;
    },
    async dispose() {
      await server.stop('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
  return server;
}

/** Ports that this process has handed out: nobody may listen there yet. */
const given = new Set<number>();

/**
 * A port below those that the system gives to outgoing connections, so that none of these takes it meanwhile, and whose
 * cluster bus port, 10,000 above, is free as well. No two callers of this process get the same.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 12_000);
    const both = [port, port + 10_000];
    if (both.some((one) => given.has(one))) continue;
    for (const one of both) given.add(one);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
    for (const one of both) given.delete(one);
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** Waits until something accepts connections, or fails when the process has ended or ten seconds are over. */
export async function listening(port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      if (child.exitCode !== null) throw new Error(`the server on port ${port} ended with ${child.exitCode}`);
      if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}`);
      await sleep(20);
    } finally {
      socket.destroy();
    }
  }
}
