import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { Logger } from 'pino';
import { ConfigFault } from '../config.ts';
import { linesByTurn } from '../lines-by-turn.ts';
import { standardOutput } from '../logger.ts';
import { faultOf, isFile } from './file.ts';

export interface AuditOutputOptions {
  log: Pick<Logger, 'info' | 'error'>;
  /** Told how many lines could not be written. */
  onLost: (lines: number) => void;
  /** As `writeSync`: writes from an offset on as much as it can, and says how much. */
  write?: (file: number, bytes: Buffer, from: number) => number;
}

export interface AuditOutput {
  /** @param line with its line break; nothing that goes wrong with it is thrown */
  write(line: string): void;
  /** For a file that has been moved away: begins it anew. */
  reopen(): void;
  close(): void;
}

/**
 * Where the audit goes. Not by way of pino's destinations: what they cannot write they keep, without end, and at the exit they
 * try for ever.
 *
 * @param where a path, `stdout` or `stderr`
 * @throws ConfigFault for a file that cannot be opened
 */
export function openAuditOutput(where: string, options: AuditOutputOptions): AuditOutput {
  const { log, onLost, write: writeSome = writeSync } = options;
  // Together with the log, or they would write into each other's lines.
  if (where === 'stdout') return { ...standardOutput(), reopen() {}, close() {} };
  let file = isFile(where) ? firstOpened(where) : 2;
  let torn = false;
  let failing = false;

  const { write, flushSync } = linesByTurn((lines) => {
    // What is left of a line that was cut off stays a line of its own.
    const mended = torn ? 1 : 0;
    const bytes = Buffer.from(torn ? `\n${lines}` : lines);
    const { written, error } = writeAll(
      (from) => writeSome(file, bytes, from),
      bytes.length,
      // Who has been waited for in vain once is not waited for at each line.
      failing ? 0 : patience,
    );
    if (written > 0) torn = bytes[written - 1] !== lineBreak;
    if (error === undefined) {
      if (failing) log.info('the audit is written again');
      failing = false;
      return;
    }
    const lost = linesIn(bytes.subarray(Math.max(written, mended)));
    onLost(lost);
    if (!failing)
      log.error({ err: error }, 'AUDIT_LOG CANNOT BE WRITTEN: decisions go unaudited until it can');
    failing = true;
  });

  return {
    write,
    reopen() {
      if (!isFile(where)) return;
      flushSync();
      try {
        const fresh = open(where);
        closeSync(file);
        file = fresh;
        torn = false;
        log.info('AUDIT_LOG opened again');
      } catch (err) {
        log.error({ err: codeOnly(err) }, 'AUDIT_LOG cannot be opened again: going on with the old file');
      }
    },
    close() {
      flushSync();
      if (isFile(where)) closeSync(file);
      // Another file may get its number.
      file = -1;
    },
  };
}

const lineBreak = 10;

/** Only its owner may read what says who was where. */
const open = (path: string) => openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o600);
// Of a pipe, that nobody reads is an error then, and not an end to everything else.
const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;

function firstOpened(path: string): number {
  try {
    return open(path);
  } catch (error) {
    throw new ConfigFault([faultOf(error)]);
  }
}

/** Milliseconds that a full pipe is given, each time and in all. */
const [pause, patience] = [5, 500];

/** @param patience milliseconds that a full pipe is given in all */
function writeAll(
  writeFrom: (from: number) => number,
  length: number,
  patience: number,
): { written: number; error?: Error } {
  let written = 0;
  let waited = 0;
  while (written < length) {
    try {
      written += writeFrom(written);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EAGAIN' || waited >= patience) return { written, error: error as Error };
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pause);
      waited += pause;
    }
  }
  return { written };
}

function linesIn(bytes: Buffer): number {
  let lines = 0;
  for (const byte of bytes) if (byte === lineBreak) lines++;
  return lines;
}

/** Without the path, which may hold anything. */
function codeOnly(error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  return Object.assign(new Error('cannot be opened'), { code });
}
