import { type DestinationStream, type Logger, pino } from 'pino';

/** JSON lines, on stdout unless told otherwise. */
export function createLogger(level: string, destination: DestinationStream = standardOutput()): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: safeError, req: () => undefined, res: () => undefined },
    },
    destination,
  );
}

/** The lines of one turn of the event loop leave in one write, before the next turn: none waits, and none is lost at the exit. */
function openStandardOutput(): DestinationStream & { flushSync(): void } {
  const output = pino.destination({ sync: true });
  let lines = '';
  const flushSync = () => {
    if (lines !== '') output.write(lines);
    lines = '';
  };
  process.on('exit', flushSync);
  return {
    write(line) {
      if (lines === '') setImmediate(flushSync);
      lines += line;
    },
    flushSync,
  };
}

let opened: DestinationStream | undefined;

/** One for the process: several would write into each other's lines. */
function standardOutput(): DestinationStream {
  opened ??= openStandardOutput();
  return opened;
}

// An error's other properties are dropped: drivers and clients hang commands, URLs and headers on theirs.
function safeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  return { type: error.name, message: error.message, ...(code && { code }), stack: error.stack };
}
