import type { TicketRecord } from './record.ts';

/** One admitted connection. */
export interface Session {
  readonly session_id: string;
  /** Absent where a token was shown instead of a ticket. */
  readonly ticket_id?: string;
  readonly record: TicketRecord;
  /** When it ends, at the latest: Unix milliseconds, by this node's clock. */
  readonly deadline: number;
  /** The same in whole Unix seconds, by the store's clock: alike for whoever asks about it. */
  readonly exp: number;
}

/** One that a ticket opened. */
export type TicketSession = Session & { readonly ticket_id: string };
