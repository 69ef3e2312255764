import type { FeedEntry } from './feed.ts';
import { type Revocable, type Revocation, reaches } from './revocation.ts';

export interface RetainedOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds after which a revocation cannot matter any more: nothing it could reach is still valid. */
  retention: number;
  /** The same for one session or one ticket, which nothing outlives that it could reach; absent: `retention`. */
  sessionRetention?: number;
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
  readonly #entries = new Map<string, FeedEntry>();
  /** For each subject, the moment up to which everything is revoked. */
  readonly #subjects = new Map<string, Revocation & { sub: string; issued_before: number }>();
  /** In the order of arrival, too: their ends are nearer than those of the entries among which they arrived. */
  readonly #sessions = new Map<string, Revocation>();
  readonly #tickets = new Map<string, Revocation>();
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
   */
  add(entry: FeedEntry): void {
    const { revocation } = entry;
    if (this.#isPast(revocation)) return;
    this.#forgetPast();
    const isKnown = this.#entries.delete(revocation.rid);
    this.#entries.set(revocation.rid, entry);
    this.#latest = entry.cursor;
    if (isKnown) return;
    if ('sub' in revocation) {
      const known = this.#subjects.get(revocation.sub);
      if (!known || known.issued_before < revocation.issued_before)
        this.#subjects.set(revocation.sub, revocation);
    } else if ('session_id' in revocation) putLast(this.#sessions, revocation.session_id, revocation);
    else putLast(this.#tickets, revocation.ticket_id, revocation);
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
    if (cursor !== undefined && cursor === this.#latest) return [];
    return entries.slice(entries.findIndex((entry) => entry.cursor === cursor) + 1);
  }

  has(rid: string): boolean {
    return this.#entries.has(rid);
  }

  #isPast(revocation: Revocation): boolean {
    const retention = 'sub' in revocation ? this.#retention : this.#sessionRetention;
    return revocation.at * 1000 + retention <= this.#now();
  }

  /** Entries arrive in about the order in which they were decided, so of each kind the oldest are in front. */
  #forgetPast(): void {
    for (const kind of [this.#sessions, this.#tickets]) {
      for (const revocation of kind.values()) {
        if (!this.#isPast(revocation)) break;
        this.#forget(revocation);
      }
    }
    for (const { revocation } of this.#entries.values()) {
      if (!this.#isPast(revocation)) break;
      this.#forget(revocation);
    }
  }

  #forget(revocation: Revocation): void {
    this.#entries.delete(revocation.rid);
    if ('sub' in revocation) drop(this.#subjects, revocation.sub, revocation);
    else if ('session_id' in revocation) drop(this.#sessions, revocation.session_id, revocation);
    else drop(this.#tickets, revocation.ticket_id, revocation);
  }
}

function putLast(revocations: Map<string, Revocation>, name: string, revocation: Revocation): void {
  revocations.delete(name);
  revocations.set(name, revocation);
}

/** Unless it is revoked once more. */
function drop(revocations: Map<string, Revocation>, name: string, { rid }: Revocation): void {
  if (revocations.get(name)?.rid === rid) revocations.delete(name);
}
