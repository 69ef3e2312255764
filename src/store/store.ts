import type { Claim, Misfit, TicketRecord } from '../tickets/record.ts';

/**
 * - `stored`: the ticket can be redeemed from now on.
 * - `retry`: nothing was written, because the store's tenure is not the one last seen, or the id is taken.
 *   Try again with a new ticket whose id begins with the same character.
 */
export type PutResult = 'stored' | 'retry';

/** What is known of a ticket that can never open anything again; `sessionId` is what it opened. */
export type Spent = { outcome: 'used'; sessionId: string } | { outcome: 'revoked' };

/** What has become of a ticket. `unknown`: it never was, or its end and that of its traces have come. */
export type Fate = Spent | { outcome: 'unused' | 'unknown' };

export type Redemption =
  /**
   * Spent by this very call. By the store's own clock: `at`, Unix milliseconds, and `ageMs`, milliseconds since the mint.
   * `sessionId` is the claim's, or, where the same asker asks again, the one that was answered before.
   */
  | { outcome: 'redeemed'; record: TicketRecord; sessionId: string; ageMs: number; at: number }
  | Spent
  | { outcome: 'unknown' | 'expired' }
  /** Written under another tenure: the store restarted or failed over since. */
  | { outcome: 'fenced' }
  /** Refused, and still unspent. */
  | { outcome: 'misfit'; misfit: Misfit }
  /** Not looked at: the allowance is used up for so many milliseconds. */
  | { outcome: 'limited'; resetMs: number };

/** On whose account a ticket is presented, and how often that one may get it wrong. */
export interface Allowance {
  /** The counter that all nodes share. */
  readonly counter: string;
  /** Attempts in a window, at least 1. */
  readonly limit: number;
  /** Milliseconds. */
  readonly windowMs: number;
  /** `failed`: only refused attempts count. `all`: every one does. */
  readonly counting: 'failed' | 'all';
}

/** Whether an attempt that ended so is counted where failed ones are: not when the store lost a ticket that was good. */
export function isFailedAttempt({ outcome }: Redemption): boolean {
  return outcome !== 'redeemed' && outcome !== 'fenced' && outcome !== 'limited';
}

/** Who may take a ticket back: its subject, the service key that minted it, or anyone who holds it. */
export type Revoker = { sub: string } | { key: string } | 'holder';

export type TicketRevocation = Spent | { outcome: 'unknown' | 'forbidden' };

export function mayRevoke(record: TicketRecord, by: Revoker): boolean {
  if (by === 'holder') return true;
  return 'sub' in by ? record.sub === by.sub : record.minted_by === by.key;
}

/** A counter's state: how many, and the milliseconds until it starts again from zero. */
export interface Count {
  count: number;
  resetMs: number;
}

/**
 * The rooms that a subject may enter: `any`, or these. `too_many`: more than a ticket takes, and none of them was asked for.
 */
export type AllowedRooms = 'any' | 'too_many' | readonly string[];

/**
 * What the broker asks of its store. Every driver passes `test/support/store-contract.ts`.
 * Every call settles within the driver's deadline; a store that cannot be reached, or did not answer, rejects with
 * `BrokerError('store_unavailable')` and the caller must assume that the operation may have happened.
 */
export interface Store {
  /** Writes an unspent ticket for `ttlMs` milliseconds. */
  put(ticketId: string, record: TicketRecord, ttlMs: number): Promise<PutResult>;
  /**
   * Spends a ticket if it is known, current and fits the claim: for at most one session anything ever answers `redeemed`. With
   * an allowance, an attempt is counted as it is judged, so that thousands at once get no more answers than in a row.
   */
  redeem(ticketId: string, claim: Claim, allowance?: Allowance): Promise<Redemption>;
  /** Makes an unspent ticket unusable. Idempotent. */
  revoke(ticketId: string, by: Revoker): Promise<TicketRevocation>;
  /** Reads what has become of a ticket, and changes nothing. */
  fateOf(ticketId: string): Promise<Fate>;
  /** Adds one to a counter; the first one opens its window of `windowMs`. */
  count(key: string, windowMs: number): Promise<Count>;
  /** Reads a counter without adding to it. */
  counted(key: string): Promise<Count>;
  /**
   * Reads the set of rooms that operators keep for a subject: those of it that are among the `asked`, of which there is at
   * least one, or all. `any` where there is no set.
   */
  roomsOf(sub: string, asked: readonly string[] | undefined): Promise<AllowedRooms>;
  /** Resolves when tickets can be minted and redeemed now. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/**
 * How long a tombstone outlives its ticket, in milliseconds: longer than any copy of the mint command could linger on
 * its way and still be executed, so that a late one finds the key taken.
 */
export const tombstoneMarginMs = 60_000;
