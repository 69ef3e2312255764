import type { Backoff } from './backoff.ts';
import type { TicketSourceOptions } from './ticket-source.ts';
import type { ClosedReason } from './verdict.ts';

export interface TicketSocketOptions extends TicketSourceOptions {
  /** `wss://…/ws`, with `?room=` where one is asked for. In a page it may be relative. */
  url: string | URL;
  /**
   * `subprotocol` (default): beside `protocol`, where no access log, history or console keeps it.
   * `query`: as `?ticket=`, for servers behind which nobody answers a subprotocol.
   */
  transport?: 'subprotocol' | 'query' | undefined;
  /** The application's own subprotocols, of which the server selects one. Default: `ticket-broker`; with `query`: none. */
  protocol?: string | readonly string[] | undefined;
  /**
   * Whether to get a ticket and send it, as `session.refresh`, when the server says `session.expiring`; at most once in 10 s.
   * Default: as `expectWelcome`. Only for servers that let nobody else say `session.…` on the socket: one that hands on what
   * others say, as it comes, would hand them the ticket.
   */
  refresh?: boolean | undefined;
  /** Messages that may wait for a connection, and for their turn on it. Default: 100. */
  queueLimit?: number | undefined;
  /** Default: 2 s, at most 30 s. */
  backoff?: Partial<Backoff> | undefined;
  /**
   * False: the server is one that does not say `welcome`; its sockets count as connected once open, and unless `refresh` is
   * true `session.…` are messages like any other. Default: true.
   */
  expectWelcome?: boolean | undefined;
  /** Told what happens, a line at a time, without any ticket, token or message. */
  log?: ((line: string) => void) | undefined;
}

export type Status =
  | { status: 'connecting' }
  | { status: 'connected' }
  /** Until the next attempt, `waitMs` from now, after `attempt` failures in a row. `why`: for people, and for logs. */
  | { status: 'waiting'; why: string; waitMs: number; attempt: number }
  /** For good, unless `reconnect()` is called. */
  | { status: 'closed'; reason: ClosedReason; why: string };

/** The first message of a session. */
export interface Welcome {
  type: 'welcome';
  session_id: string;
  sub: string;
  username: string;
  /** Absent: any. */
  rooms?: string[];
  /** As it was given with the mint. */
  context?: unknown;
  /** Seconds. */
  expires_in: number;
  /** Messages that the server takes in a second, and twice as many at once. Absent: any number, or it does not say. */
  message_limit?: number;
}

export interface TicketSocketEvents {
  status: Status;
  welcome: Welcome;
  /** Parsed, where it is JSON. */
  message: unknown;
  /** The session ends in `expires_in` seconds, unless it is refreshed. */
  expiring: { expires_in: number };
  /** Its end has moved on. */
  refreshed: { expires_in: number };
  /** There will be no further attempt. `unsent` is what still waited for a connection, or for its turn. */
  closed: { reason: ClosedReason; why: string; unsent: string[] };
}

export interface TicketSocket {
  readonly status: Status;
  /** Messages that wait for a connection, or for their turn on it. */
  readonly queued: number;
  /** @returns what takes the listener off again */
  on<Name extends keyof TicketSocketEvents>(
    name: Name,
    listener: (detail: TicketSocketEvents[Name]) => void,
  ): () => void;
  /**
   * Sends a text, or an object as JSON, now or once there is a connection. What has waited for one is handed over in order,
   * ten messages at once and then one every 75 ms, or as much more slowly as the server's `message_limit` asks for; what is
   * sent meanwhile comes behind it.
   *
   * @returns false when it is not taken: as many as may wait are waiting already, or the socket is closed for good. What
   * has been handed to a connection can be lost with it.
   */
  send(message: string | object): boolean;
  /** Ends the connection and all attempts. */
  close(): void;
  /** Connects anew, now, whatever there is: after a new login, say. */
  reconnect(): void;
}
