import type { User } from './caller.ts';

/** What a family of refresh tokens stands for: one login. */
export type Login = Omit<User, 'kind' | 'exp'>;

export type Rotation =
  /** The generation presented was the current one, and is spent now. */
  | { outcome: 'rotated'; login: Login }
  /** It was spent a moment ago: the same client asks again after a lost reply. */
  | { outcome: 'retried'; login: Login }
  /** It, or another of its family, was spent before: somebody has a copy. None of the family rotates any more. */
  | { outcome: 'reused'; login: Login }
  | { outcome: 'unknown' };

/**
 * Where families of refresh tokens are kept: their current generation, and nothing of any token. Every driver passes
 * `test/support/refresh-contract.ts`.
 *
 * Not fenced: after a failover that lost a rotation, a family is a generation behind, and a token that is ahead of it is taken
 * for the current one. A failover does not log everybody out.
 */
export interface RefreshFamilies {
  /** Begins a family at generation 1. */
  begin(family: string, login: Login, ttlMs: number): Promise<void>;
  /** Presents a generation, which is known to have been issued. */
  rotate(family: string, generation: number, ttlMs: number): Promise<Rotation>;
  /** Forgets a family. Until then, one that was reused says so to all of its tokens. */
  end(family: string): Promise<void>;
}

/** How long a client may ask again for the successor whose reply it did not get, in milliseconds. */
export const retryWindowMs = 10_000;
