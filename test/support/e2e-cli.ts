import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { repository } from './broker-process.ts';

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  process: ChildProcessWithoutNullStreams;
  stdout(): string;
  stderr(): string;
  /** Waits for its end. */
  ended(): Promise<Ran>;
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** Whether it finds a terminal, and not pipes. */
  terminal?: boolean;
}

/** Starts the command as an operator does; nothing of our own environment is passed on but PATH. */
export function startCommand(args: readonly string[], options: RunOptions = {}): Running {
  const { env = {}, terminal = false } = options;
  const command = [process.execPath, 'src/main.ts', ...args];
  // script (util-linux) gives it a terminal of its own.
  const [file = '', ...rest] = terminal
    ? ['script', '-qefc', command.map(quoted).join(' '), '/dev/null']
    : command;
  const child = spawn(file, rest, {
    cwd: repository,
    env: { PATH: process.env['PATH'], TERM: 'xterm', ...env },
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text) => {
      texts[name] += text;
    });
  }
  // It may end before it has read what it is given.
  child.stdin.on('error', () => {});
  const closed = once(child, 'close');
  return {
    process: child,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    async ended() {
      const [code] = await closed;
      return { code, ...texts };
    },
  };
}

/** Runs the command to its end. @param stdin what is piped in */
export function runCommand(
  args: readonly string[],
  options: RunOptions & { stdin?: string } = {},
): Promise<Ran> {
  const running = startCommand(args, options);
  running.process.stdin.end(options.stdin ?? '');
  return running.ended();
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
