import { createPause } from './pause.ts';
import { TicketError } from './ticket-error.ts';
import type { NextTicket } from './ticket-source.ts';

export interface SessionRefreshOptions {
  nextTicket: NextTicket;
  /** @returns false when there is no connection to send it on */
  send: (message: string) => boolean;
}

export interface SessionRefresh {
  /** The session ends in `leftMs`: get a ticket and move its end on. */
  begin(leftMs: number): void;
  /** Takes the answer to a refresh that was refused. @returns whether it was one */
  refused(code: unknown): boolean;
  /** It has been refreshed, or is over. */
  stop(): void;
}

/** Those that were welcomed together are told together that they expire: each asks at a moment of its own, in milliseconds. */
const widest = 30_000;
/** Milliseconds before the end in which nothing can be moved any more. */
const tooLate = 500;
const refusals = ['invalid_ticket', 'binding_mismatch', 'rate_limited', 'store_unavailable'];

export function sessionRefresh({ nextTicket, send }: SessionRefreshOptions): SessionRefresh {
  const pause = createPause();
  let life = new AbortController();
  let unanswered = false;

  const refresh = async (end: number, signal: AbortSignal) => {
    let wait = Math.random() * Math.min(widest, (end - Date.now()) / 2);
    for (;;) {
      await pause.wait(wait, 0, signal);
      const left = end - Date.now();
      if (left < tooLate) return;
      wait = Math.max(1000, left / 4);
      try {
        const { ticket } = await nextTicket('expiring', signal);
        unanswered = send(JSON.stringify({ type: 'session.refresh', ticket }));
      } catch (error) {
        // The session lasts until its end all the same; the next connection will tell whether that is all.
        if (!(error instanceof TicketError) || error.final) return;
        wait = Math.max(wait, error.retryAfterMs ?? 0);
      }
    }
  };

  const stop = () => {
    life.abort();
    unanswered = false;
  };

  return {
    begin(leftMs) {
      stop();
      life = new AbortController();
      refresh(Date.now() + leftMs, life.signal).catch(() => {});
    },
    refused(code) {
      const answered = unanswered && refusals.includes(code as string);
      if (answered) unanswered = false;
      return answered;
    },
    stop,
  };
}
