import { type DestinationStream, type Logger, pino } from 'pino';

/** JSON lines, on stdout unless told otherwise. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: safeError, req: () => undefined, res: () => undefined },
    },
    destination ?? pino.destination({ sync: true }),
  );
}

// An error's other properties are dropped: drivers and clients hang commands, URLs and headers on theirs.
function safeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  return { type: error.name, message: error.message, ...(code && { code }), stack: error.stack };
}
