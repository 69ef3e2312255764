import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, listening } from '../../test/support/redis-server.ts';
import type { Question, Sample } from './probe.ts';

export const repository = join(import.meta.dirname, '../..');

/** A measured server, in a process of its own. */
export interface Program {
  name: string;
  port: number;
  sample(): Promise<Sample>;
  /** As `sample`, once nothing is left that a garbage collection would free. */
  collected(): Promise<Sample>;
  /** Records where the CPU time goes. @returns what ends that and writes a `.cpuprofile` */
  profile(): Promise<(file: string) => Promise<void>>;
  /** The end of what it has printed. */
  lastWords(): Promise<string>;
  stop(): Promise<void>;
}

export interface ProgramOptions {
  name: string;
  /** What Node is to run, from the repository's root. */
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** Where its output goes: to a file, as a service's does, since writing it is work, too. */
  folder: string;
}

const answerWithinMs = 30_000;

/** Starts a server with the probe on a free port, which it finds in PORT, and waits for it to accept connections. */
export async function startProgram({ name, args, env = {}, folder }: ProgramOptions): Promise<Program> {
  const port = await freePort();
  const logFile = join(folder, `${name.replaceAll(/\W+/g, '-')}-${port}.log`);
  const log = await open(logFile, 'w');
  const probe = join(import.meta.dirname, 'probe.ts');
  const child = spawn(process.execPath, ['--import', probe, ...args], {
    cwd: repository,
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: `${port}`,
      ...env,
    },
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
  });
  await log.close();
  const lastWords = async () => (await readFile(logFile, 'utf8')).slice(-2000);

  try {
    await listening(port, child);
  } catch (error) {
    await stopChild(child);
    throw new Error(`${name} did not start:\n${await lastWords()}`, { cause: error });
  }
  const ask = (question: Question) => askChild(child, question, name);
  return {
    name,
    port,
    sample: () => ask({ ask: 'sample' }),
    collected: () => ask({ ask: 'collect' }),
    async profile() {
      await ask({ ask: 'profile' });
      return async (file) => void (await ask({ ask: 'profiled', file }));
    },
    lastWords,
    stop: () => stopChild(child),
  };
}

async function askChild(child: ChildProcess, question: Question, name: string): Promise<Sample> {
  const signal = AbortSignal.timeout(answerWithinMs);
  const answered = once(child, 'message', { signal });
  child.send(question);
  try {
    const [sample] = await answered;
    return sample;
  } catch (error) {
    throw new Error(`${name} does not answer (exit code ${child.exitCode})`, { cause: error });
  }
}

/** Nothing in it is worth a graceful end. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
