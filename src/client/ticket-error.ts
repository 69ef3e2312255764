/** Why there is no ticket. Neither it nor its message ever holds a ticket or a token. */
export class TicketError extends Error {
  override readonly name = 'TicketError';
  /** Of the HTTP answer; 0: there was none. */
  readonly status: number;
  /**
   * As in the answer's `error`, or one of our own. Not asked: `no_token`, `no_ticket_url`. No answer: `network`, `timeout`.
   * One that does not say why: `refused`; one without a ticket: `bad_answer`. What the app's own callback did: it threw,
   * `callback_failed`; it had none, `no_ticket`, or the one before, `spent_ticket`.
   */
  readonly code: string;
  /** Milliseconds before which it is of no use to ask again. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, code: string, retryAfterMs?: number) {
    super(`no ticket: ${status ? `${status} ` : ''}${code}`);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** The credential is not good for a ticket. */
  get unauthorized(): boolean {
    return [401, 403].includes(this.status);
  }

  /** Asking again in the same way cannot help. */
  get final(): boolean {
    return this.unauthorized || [400, 413, 415, 422].includes(this.status);
  }
}
