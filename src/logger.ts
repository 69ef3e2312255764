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

/** One line per decision, granted or refused: what was asked, by whom, and why the answer was what it was. */
export interface Decision {
  decision: 'login' | 'mint' | 'redeem' | 'revoke';
  granted: boolean;
  /** `ok`, or what a refusal is really about: more exact than the code that the caller sees. */
  reason: string;
  sub?: string;
  /** The service key that asked. */
  key?: string;
  ticket_id?: string;
  session_id?: string;
  /** The client's address. */
  ip?: string;
}

export function logDecision(log: Pick<Logger, 'info'>, decision: Decision & Record<string, unknown>): void {
  log.info(decision, decision.granted ? 'granted' : 'refused');
}

// An error's other properties are dropped: drivers and clients hang commands, URLs and headers on theirs.
function safeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  return { type: error.name, message: error.message, ...(code && { code }), stack: error.stack };
}
