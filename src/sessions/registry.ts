/** A live session as everybody may list it. Times are Unix seconds. */
export interface ListedSession {
  readonly session_id: string;
  readonly sub: string;
  readonly username: string;
  /** The process that let it in, and holds the socket unless somebody else does. */
  readonly node: string;
  readonly ip: string;
  readonly since: number;
  readonly exp: number;
  /** When its credential was presented; not shown to anybody. */
  readonly auth_time: number;
  /** How it came in. */
  readonly via: string;
}

/** Whether its socket is held by somebody who does not tell when it closes: a proxy's backend, a chat node that redeems. */
export function isHeldElsewhere({ via }: Pick<ListedSession, 'via'>): boolean {
  return via === 'redeem' || via === 'verify';
}

export interface SessionPage {
  sessions: ListedSession[];
  /** Where the next page begins; absent on the last one. */
  cursor?: string;
}

/**
 * The live sessions of all nodes. Those of a node are listed as long as its lease is renewed, and are gone with it: there
 * is one lease for a node, none for a socket. Those that are held elsewhere are listed until their `exp`, whatever becomes of
 * the node that let them in. What could not be added or removed is with a later lease. Whatever is past its
 * `exp` is not listed. Every driver passes `test/support/registry-contract.ts`.
 */
export interface Registry {
  add(session: ListedSession): Promise<void>;
  remove(session: Pick<ListedSession, 'session_id' | 'sub'>): Promise<void>;
  /** Oldest first. */
  ofSubject(sub: string): Promise<ListedSession[]>;
  /** All of them, a page at a time. */
  page(cursor: string | undefined): Promise<SessionPage>;
  /** @param sub looks among the sessions of this subject only, which asks no other node */
  find(session_id: string, sub?: string): Promise<ListedSession | undefined>;
  close(): Promise<void>;
}
