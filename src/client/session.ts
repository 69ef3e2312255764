import type { Emitter } from './events.ts';
import { sessionRefresh } from './session-refresh.ts';
import type { TicketSocketEvents, TicketSocketOptions, Welcome } from './ticket-socket-types.ts';
import type { NextTicket } from './ticket-source.ts';

export interface SessionOptions extends Pick<TicketSocketOptions, 'expectWelcome' | 'refresh'> {
  events: Emitter<TicketSocketEvents>;
  nextTicket: NextTicket;
  send: (message: string) => boolean;
  onBegun: (welcome?: Welcome) => void;
  /** The socket is open, and nobody welcomes us. */
  onUnwelcome: () => void;
}

/** What is said on an open socket, from the welcome on. */
export interface Session {
  readonly begun: boolean;
  opened(): void;
  receive(data: unknown): void;
  /** The socket is gone. @returns how long the session lasted, in milliseconds */
  over(): number;
}

/** Milliseconds that an open socket has until the welcome. */
const patience = 10_000;

export function createSession(options: SessionOptions): Session {
  const {
    expectWelcome = true,
    refresh = expectWelcome,
    events,
    nextTicket,
    send,
    onBegun,
    onUnwelcome,
  } = options;
  const ofBroker = expectWelcome || refresh;
  const refresher = sessionRefresh({ nextTicket, send });
  /** Unix milliseconds. */
  let since: number | undefined;
  let unwelcome: ReturnType<typeof setTimeout> | undefined;

  const begin = (welcome?: Welcome) => {
    clearTimeout(unwelcome);
    since = Date.now();
    onBegun(welcome);
  };

  return {
    get begun() {
      return since !== undefined;
    },
    opened() {
      if (expectWelcome) unwelcome = setTimeout(onUnwelcome, patience);
      else begin();
    },
    receive(data) {
      const message = parsed(data);
      const { type, about, expires_in } = (message ?? {}) as Record<string, unknown>;
      const left = { expires_in: Number(expires_in) };
      if (type === 'welcome' && since === undefined) {
        begin(message as Welcome);
      } else if (!ofBroker || since === undefined) {
        // Where the server does not speak the broker's protocol, it may be another user who says `session.…`.
        events.emit('message', message);
      } else if (type === 'session.expiring') {
        if (!Number.isFinite(left.expires_in)) return;
        if (refresh) refresher.begin(left.expires_in * 1000);
        events.emit('expiring', left);
      } else if (type === 'session.refreshed') {
        refresher.stop();
        events.emit('refreshed', left);
      } else if (!refresh || type !== 'error' || about !== 'session.refresh') {
        events.emit('message', message);
      }
    },
    over() {
      const lasted = since === undefined ? 0 : Date.now() - since;
      since = undefined;
      clearTimeout(unwelcome);
      refresher.stop();
      return lasted;
    },
  };
}

function parsed(data: unknown): unknown {
  if (typeof data !== 'string') return data;
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
