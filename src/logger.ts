import { type DestinationStream, type Logger, pino } from 'pino';
import { type LinesByTurn, linesByTurn } from './lines-by-turn.ts';

/** JSON lines, on stdout unless told otherwise. */
export function createLogger(level: string, destination: DestinationStream = standardOutput()): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: isoTime(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: safeError, req: () => undefined, res: () => undefined },
    },
    destination,
  );
}

/** As pino's own, but made once for all lines of a millisecond. */
function isoTime(): () => string {
  let last: number | undefined;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== last) text = `,"time":"${new Date(now).toISOString()}"`;
    last = now;
    return text;
  };
}

let opened: LinesByTurn | undefined;

/** One for the process: several would write into each other's lines. */
export function standardOutput(): LinesByTurn {
  if (!opened) {
    const output = pino.destination({ sync: true });
    opened = linesByTurn((lines) => output.write(lines));
  }
  return opened;
}

// An error's other properties are dropped: drivers and clients hang commands, URLs and headers on theirs.
function safeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  return { type: error.name, message: error.message, ...(code && { code }), stack: error.stack };
}
