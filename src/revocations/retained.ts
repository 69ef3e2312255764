import type { FeedEntry } from './feed.ts';
import { type Revocable, type Revocation, reaches } from './revocation.ts';

export interface RetainedOptions {
  /** Milliseconds, of a clock that is never set: one that ran ahead for a moment would have everything forgotten. */
  now: () => number;
  /** Milliseconds after which a revocation cannot matter any more: nothing it could reach is still valid. */
  retention: number;
  /** The same for one session or one ticket, which nothing outlives that it could reach; absent: `retention`. */
  sessionRetention?: number;
}

interface Kept {
  readonly entry: FeedEntry;
  /** When it cannot matter any more. */
  readonly until: number;
}

/**
 * The revocations that can still matter, as one node remembers them: what it decides by, with no round trip. Bounded by
 * their age.
 */
export class Retained {
  readonly #now: () => number;
  readonly #retention: number;
  readonly #sessionRetention: number;
  /** By rid, in the order of arrival. */
  readonly #entries = new Map<string, Kept>();
  /** For each subject, the moment up to which everything is revoked. */
  readonly #subjects = new Map<string, Revocation & { sub: string; issued_before: number }>();
  /** In the order of arrival, too: their ends are nearer than those of the entries among which they arrived. */
  readonly #sessions = new Map<string, Kept>();
  readonly #tickets = new Map<string, Kept>();
  readonly #listeners = new Set<(entry: FeedEntry) => void>();
  /** Of the latest entry, which may be forgotten before those that came earlier. */
  #latest: string | undefined;

  constructor({ now, retention, sessionRetention = retention }: RetainedOptions) {
    this.#now = now;
    this.#retention = retention;
    this.#sessionRetention = Math.min(sessionRetention, retention);
  }

  /**
   * Remembers an entry and tells the listeners, unless its revocation is too old to matter or known already: then it has its place
   * where the feed brings it now, so that after a failover, too, all nodes have one order.
   *
   * @param age milliseconds since it was added to the feed
   */
  add(entry: FeedEntry, age = 0): void {
    const { revocation } = entry;
    this.#forgetPast();
    const known = this.#entries.get(revocation.rid);
    const kept = { entry, until: known?.until ?? this.#now() + this.#lifeOf(revocation) - age };
    if (this.#isPast(kept)) return;
    this.#entries.delete(revocation.rid);
    this.#entries.set(revocation.rid, kept);
    this.#latest = entry.cursor;
    if (known) return;
    if ('sub' in revocation) {
      const known = this.#subjects.get(revocation.sub);
      if (!known || known.issued_before < revocation.issued_before)
        this.#subjects.set(revocation.sub, revocation);
    } else if ('session_id' in revocation) putLast(this.#sessions, revocation.session_id, kept);
    else putLast(this.#tickets, revocation.ticket_id, kept);
    for (const listener of this.#listeners) listener(entry);
  }

  /** The revocation that reaches the subject, if any does. */
  find({ sub, auth_time, session_id, ticket_id }: Revocable): Revocation | undefined {
    const bySubject = this.#subjects.get(sub);
    if (bySubject && reaches(bySubject, { sub, auth_time })) return bySubject;
    const kept =
      (session_id === undefined ? undefined : this.#sessions.get(session_id)) ??
      (ticket_id === undefined ? undefined : this.#tickets.get(ticket_id));
    return kept?.entry.revocation;
  }

  follow(listener: (entry: FeedEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All that is retained, oldest first. */
  all(): FeedEntry[] {
    this.#forgetPast();
    return Array.from(this.#entries.values(), ({ entry }) => entry);
  }

  since(cursor: string | undefined): FeedEntry[] {
    const entries = this.all();
    if (cursor !== undefined && cursor === this.#latest) return [];
    return entries.slice(entries.findIndex((entry) => entry.cursor === cursor) + 1);
  }

  has(rid: string): boolean {
    return this.#entries.has(rid);
  }

  #lifeOf(revocation: Revocation): number {
    return 'sub' in revocation ? this.#retention : this.#sessionRetention;
  }

  #isPast({ until }: Kept): boolean {
    return until <= this.#now();
  }

  /** Entries arrive in about the order in which they were decided, so of each kind the oldest are in front. */
  #forgetPast(): void {
    for (const kind of [this.#sessions, this.#tickets, this.#entries]) {
      for (const kept of kind.values()) {
        if (!this.#isPast(kept)) break;
        this.#forget(kept);
      }
    }
  }

  /** Whoever is revoked once more by another stays revoked. */
  #forget({ entry: { revocation } }: Kept): void {
    const { rid } = revocation;
    this.#entries.delete(rid);
    if ('sub' in revocation) {
      if (this.#subjects.get(revocation.sub)?.rid === rid) this.#subjects.delete(revocation.sub);
    } else if ('session_id' in revocation) drop(this.#sessions, revocation.session_id, rid);
    else drop(this.#tickets, revocation.ticket_id, rid);
  }
}

function putLast(names: Map<string, Kept>, name: string, kept: Kept): void {
  names.delete(name);
  names.set(name, kept);
}

function drop(names: Map<string, Kept>, name: string, rid: string): void {
  if (names.get(name)?.entry.revocation.rid === rid) names.delete(name);
}
