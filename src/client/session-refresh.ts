import { createPause } from './pause.ts';
import { TicketError } from './ticket-error.ts';
import type { NextTicket } from './ticket-source.ts';

export interface SessionRefreshOptions {
  nextTicket: NextTicket;
  /** @returns false when there is no connection to send it on */
  send: (message: string) => boolean;
}

export interface SessionRefresh {
  /** The session ends in `leftMs`: get a ticket and move its end on. Of no effect unless that is a time to come. */
  begin(leftMs: number): void;
  /** It has been refreshed, or is over. */
  stop(): void;
}

/** Those that were welcomed together are told together that they expire: each asks at a moment of its own, in milliseconds. */
const widest = 30_000;
/** Milliseconds before the end in which nothing can be moved any more. */
const tooLate = 500;
/** Milliseconds between two tickets, whatever is said on the socket. */
const apart = 10_000;

export function sessionRefresh({ nextTicket, send }: SessionRefreshOptions): SessionRefresh {
  const pause = createPause();
  let life = new AbortController();
  /** By `performance.now()`, which nobody sets back. */
  let notBefore = 0;

  const refresh = async (end: number, signal: AbortSignal) => {
    let wait = Math.random() * Math.min(widest, (end - Date.now()) / 2);
    for (;;) {
      await pause.wait(Math.max(wait, notBefore - performance.now()), 0, signal);
      const left = end - Date.now();
      if (left < tooLate) return;
      notBefore = performance.now() + apart;
      wait = left / 4;
      try {
        const { ticket } = await nextTicket('expiring', signal);
        send(JSON.stringify({ type: 'session.refresh', ticket }));
      } catch (error) {
        // The session lasts until its end all the same; the next connection will tell whether that is all.
        if (!(error instanceof TicketError) || error.final) return;
        wait = Math.max(wait, error.retryAfterMs ?? 0);
      }
    }
  };

  const stop = () => life.abort();

  return {
    begin(leftMs) {
      if (!(leftMs > 0 && leftMs < Number.POSITIVE_INFINITY)) return;
      stop();
      life = new AbortController();
      refresh(Date.now() + leftMs, life.signal).catch(() => {});
    },
    stop,
  };
}
