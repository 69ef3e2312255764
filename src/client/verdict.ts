import { closeCodes } from '../sessions/close-codes.ts';

/**
 * Why there will be no further attempt: the credential is not good for a ticket, somebody has revoked the session, the
 * server refuses what we want or do, it calls our request for a ticket malformed, or `close()` was called.
 */
export type ClosedReason = 'unauthorized' | 'revoked' | 'refused' | 'bad_request' | 'disconnected';

export type Verdict = { end: ClosedReason } | { atLeastMs: number; exact: boolean };

/** Milliseconds that a server may ask us to stay away. */
const longestAway = 300_000;

/**
 * What the close of a socket means for the next attempt: there is none, or it waits. All that is not known to be final is
 * tried again: a browser tells nobody why a handshake failed.
 *
 * @param established whether the session had begun
 */
export function verdictOn(code: number, reason: string, established: boolean): Verdict {
  if (code === closeCodes.revoked) return { end: 'revoked' };
  if (code === closeCodes.policy) {
    // With WS_REJECT=close. A ticket may have run out, or the store may have failed over: the next one is another.
    const staleTicket = !established && reason === 'invalid_ticket';
    return staleTicket ? { atLeastMs: 0, exact: false } : { end: 'refused' };
  }
  // Each peer of a node that stops is told a moment of its own.
  const away = code === closeCodes.restarting ? awayMs(reason) : undefined;
  return away === undefined ? { atLeastMs: 0, exact: false } : { atLeastMs: away, exact: true };
}

function awayMs(reason: string): number | undefined {
  try {
    const ms: unknown = JSON.parse(reason).reconnect_after_ms;
    return typeof ms === 'number' && ms >= 0 ? Math.min(ms, longestAway) : undefined;
  } catch {
    return undefined;
  }
}
