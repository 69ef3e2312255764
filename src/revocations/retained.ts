import type { FeedEntry } from './feed.ts';
import { type Revocable, type Revocation, reaches } from './revocation.ts';

export interface RetainedOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds after which a revocation cannot matter any more: nothing it could reach is still valid. */
  retention: number;
}

/**
 * The revocations that can still matter, as one node remembers them: what it decides by, with no round trip. Bounded by
 * their age.
 */
export class Retained {
  readonly #now: () => number;
  readonly #retention: number;
  /** By rid, in the order of arrival. */
  readonly #entries = new Map<string, FeedEntry>();
  /** For each subject, the moment up to which everything is revoked. */
  readonly #subjects = new Map<string, Revocation & { sub: string; issued_before: number }>();
  readonly #sessions = new Map<string, Revocation>();
  readonly #tickets = new Map<string, Revocation>();
  readonly #listeners = new Set<(entry: FeedEntry) => void>();

  constructor({ now, retention }: RetainedOptions) {
    this.#now = now;
    this.#retention = retention;
  }

  /** Remembers an entry and tells the listeners, unless its revocation is known already or too old to matter. */
  add(entry: FeedEntry): void {
    const { revocation } = entry;
    if (this.#isPast(revocation) || this.#entries.has(revocation.rid)) return;
    this.#forgetPast();
    this.#entries.set(revocation.rid, entry);
    if ('sub' in revocation) {
      const known = this.#subjects.get(revocation.sub);
      if (!known || known.issued_before < revocation.issued_before)
        this.#subjects.set(revocation.sub, revocation);
    } else if ('session_id' in revocation) this.#sessions.set(revocation.session_id, revocation);
    else this.#tickets.set(revocation.ticket_id, revocation);
    for (const listener of this.#listeners) listener(entry);
  }

  /** The revocation that reaches the subject, if any does. */
  find({ sub, auth_time, session_id, ticket_id }: Revocable): Revocation | undefined {
    const bySubject = this.#subjects.get(sub);
    if (bySubject && reaches(bySubject, { sub, auth_time })) return bySubject;
    return (
      (session_id === undefined ? undefined : this.#sessions.get(session_id)) ??
      (ticket_id === undefined ? undefined : this.#tickets.get(ticket_id))
    );
  }

  follow(listener: (entry: FeedEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All that is retained, oldest first. */
  all(): FeedEntry[] {
    this.#forgetPast();
    return [...this.#entries.values()];
  }

  since(cursor: string | undefined): FeedEntry[] {
    const entries = this.all();
    return entries.slice(entries.findIndex((entry) => entry.cursor === cursor) + 1);
  }

  has(rid: string): boolean {
    return this.#entries.has(rid);
  }

  #isPast({ at }: Revocation): boolean {
    return at * 1000 + this.#retention <= this.#now();
  }

  /** Entries arrive in about the order in which they were decided, so the oldest are in front. */
  #forgetPast(): void {
    for (const [rid, { revocation }] of this.#entries) {
      if (!this.#isPast(revocation)) return;
      this.#entries.delete(rid);
      if ('sub' in revocation) {
        if (this.#subjects.get(revocation.sub)?.rid === rid) this.#subjects.delete(revocation.sub);
      } else if ('session_id' in revocation) this.#sessions.delete(revocation.session_id);
      else this.#tickets.delete(revocation.ticket_id);
    }
  }
}
