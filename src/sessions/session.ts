import type { TicketRecord } from '../tickets/record.ts';

/** One admitted connection. */
export interface Session {
  readonly session_id: string;
  readonly ticket_id: string;
  readonly record: TicketRecord;
  /** When it ends, at the latest: Unix milliseconds. */
  readonly deadline: number;
}
