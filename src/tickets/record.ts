/** Any JSON value, as a caller attached it to a ticket. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a ticket stands for. Written once, at mint; read once, at redemption. */
export interface TicketRecord {
  readonly sub: string;
  readonly username: string;
  /** The rooms the holder may enter: absent = any, empty = none. */
  readonly rooms?: readonly string[];
  /** The caller's own JSON, at most 2 KiB. */
  readonly context?: Json;
  /** The service the ticket is for; absent = any. */
  readonly aud?: string;
  /** The only browser origin that may present it. */
  readonly origin?: string;
  /** The only address, or network, that may present it: see `address.ts`. */
  readonly ip?: string;
  /** The service key that minted it, when a backend did. */
  readonly minted_by?: string;
  /** When the credential was presented: Unix seconds, with milliseconds. */
  readonly auth_time: number;
  /** How long a session may last, counted from the mint, in seconds. */
  readonly session_ttl: number;
}

/** Where and by whom a ticket is presented: what the redemption holds against the record. */
export interface Claim {
  /** Chosen by the caller beforehand, so that the tombstone can name the session it opened. */
  readonly sessionId: string;
  /** The service that redeems. */
  readonly aud?: string;
  /** The browser's origin. */
  readonly origin?: string;
  /** The forms in which the presenter's address may be bound; absent = the address is not checked. */
  readonly addresses?: readonly string[];
  /** The room asked for with the handshake. */
  readonly room?: string;
  /** Lets one asker hear the same answer again: a proxy or a node that asks twice about one connection. */
  readonly repeat?: Repeat;
}

export interface Repeat {
  /** Who asks, and about what: nobody else can say the same. No line breaks. */
  readonly asker: string;
  /** Milliseconds for which the answer is kept. */
  readonly withinMs: number;
}

export type Misfit = 'aud' | 'origin' | 'ip' | 'room';

/**
 * The first thing in the claim that the record does not allow, or undefined when it fits.
 * `redeemScript` in `store/ticket-scripts.ts` says the same inside Redis; the store contract suite holds both to it.
 */
export function misfit(record: TicketRecord, claim: Claim): Misfit | undefined {
  if (record.aud !== undefined && record.aud !== claim.aud) return 'aud';
  if (record.origin !== undefined && record.origin !== claim.origin) return 'origin';
  if (record.ip !== undefined && claim.addresses !== undefined && !claim.addresses.includes(record.ip)) {
    return 'ip';
  }
  if (claim.room !== undefined && record.rooms !== undefined && !record.rooms.includes(claim.room)) {
    return 'room';
  }
  return undefined;
}
