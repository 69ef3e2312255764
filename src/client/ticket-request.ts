import { retryAfterMs } from './retry-after.ts';
import { TicketError } from './ticket-error.ts';

/** A ticket as the broker answers it. Good for one attempt. */
export interface Ticket {
  ticket: string;
  ticket_id: string;
  /** Seconds, from when it was asked for. */
  expires_in: number;
  /** Where it may be used, with the ticket in it. */
  url: string;
  /** Unix milliseconds, by the clock of this machine. */
  expires_at: number;
}

/** What the ticket is to be good for; as in `POST /tickets`. */
export interface TicketWishes {
  rooms?: readonly string[];
  /** Any JSON of at most 2 KiB; comes back in the welcome message. */
  context?: unknown;
  aud?: string;
  bind?: { origin?: string; ip?: string };
  /** Seconds. */
  ttl?: number;
}

/**
 * Asks for a ticket, once.
 *
 * @param token absent: the browser sends its cookies instead
 * @throws TicketError, or the signal's reason
 */
export async function requestTicket(
  url: string | URL,
  token: string | undefined,
  wishes: TicketWishes,
  signal: AbortSignal,
): Promise<Ticket> {
  const asked = Date.now();
  const response = await answerTo(url, token, wishes, signal);
  const answer: unknown = await response.json().catch(() => undefined);
  signal.throwIfAborted();
  const { error, ticket, expires_in } = (answer ?? {}) as Record<string, unknown>;
  if (!response.ok) {
    const retryAfter = retryAfterMs(response.headers.get('retry-after'), Date.now());
    throw new TicketError(response.status, isCode(error) ? error : 'refused', retryAfter);
  }
  if (typeof ticket !== 'string' || typeof expires_in !== 'number') throw new TicketError(0, 'bad_answer');
  return { ...(answer as Ticket), expires_at: asked + expires_in * 1000 };
}

async function answerTo(
  url: string | URL,
  token: string | undefined,
  wishes: TicketWishes,
  signal: AbortSignal,
) {
  try {
    return await fetch(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(wishes),
      ...(token === undefined && { credentials: 'include' as const }),
      cache: 'no-store',
      signal,
    });
  } catch {
    signal.throwIfAborted();
    // What fetch says of a token that no header can hold is the token.
    throw new TicketError(0, 'network');
  }
}

function isCode(error: unknown): error is string {
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error);
}
