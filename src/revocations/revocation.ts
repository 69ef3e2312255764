/**
 * What is revoked: everything of a subject that was authenticated up to a moment, one session, or one ticket.
 * Times are Unix seconds, with milliseconds.
 */
export type RevocationTarget =
  | { readonly sub: string; readonly issued_before: number }
  | { readonly session_id: string }
  | { readonly ticket_id: string };

export type Revocation = RevocationTarget & {
  /** Names the revocation, however often the feed repeats it. */
  readonly rid: string;
  /** When it was decided. */
  readonly at: number;
  readonly reason?: string;
};

/** What a revocation is held against. */
export interface Revocable {
  readonly sub: string;
  /** When the credential was presented: Unix seconds, with milliseconds. */
  readonly auth_time: number;
  readonly session_id?: string;
  readonly ticket_id?: string;
}

export function reaches(revocation: Revocation, subject: Revocable): boolean {
  if ('sub' in revocation) {
    return revocation.sub === subject.sub && subject.auth_time <= revocation.issued_before;
  }
  if ('session_id' in revocation) return revocation.session_id === subject.session_id;
  return revocation.ticket_id === subject.ticket_id;
}
