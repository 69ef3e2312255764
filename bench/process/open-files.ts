import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Descriptors that a process needs besides its clients' sockets. */
const reserve = 500;
const wanted = 65_536;

/** How many sockets a process that we start may hold, after we have asked the system for more. */
export async function socketsAllowed(): Promise<number> {
  if ((await openFiles()) < wanted) {
    // Only some may raise it, and only where there is prlimit.
    const args = ['--pid', `${process.pid}`, `--nofile=${wanted}:${wanted}`];
    await promisify(execFile)('prlimit', args).catch(() => {});
  }
  return (await openFiles()) - reserve;
}

/** Node raises its own to the hard limit when it starts. */
async function openFiles(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, hard] = /^Max open files +\S+ +(\S+)/m.exec(limits) ?? [];
  return hard === undefined || hard === 'unlimited' ? wanted : Number(hard);
}
