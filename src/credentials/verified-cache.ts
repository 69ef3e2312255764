import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { BrokerError } from '../errors.ts';
import type { User, Verifier } from './caller.ts';

export interface CachedVerifierOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds after which a token is verified anew, since its key may have been withdrawn; absent: not before it expires. */
  maxAge?: number;
}

/** Tokens. */
const max = 20_000;
/** Milliseconds until somebody is asked again who could not be. */
const retryMs = 10_000;

/**
 * Remembers what a verifier said of a token until the token expires, so that a client's second ticket costs no second
 * signature check. While nobody can be asked for the keys, it goes on with what it remembers. Bounded; keyed by the token's
 * SHA-256, so that no token stays in memory.
 */
export function cachedVerifier(
  verify: Verifier,
  { now, maxAge = Number.POSITIVE_INFINITY }: CachedVerifierOptions,
): Verifier {
  const verified = new LRUCache<string, { user: User; askAgainAt: number }>({ max });
  return async (credential) => {
    const key = hash('sha256', credential, 'base64url');
    const at = now();
    const remembered = verified.get(key);
    const known = remembered && remembered.user.exp * 1000 > at ? remembered : undefined;
    if (known && at < known.askAgainAt) return known.user;
    try {
      const caller = await verify(credential);
      if (caller?.kind === 'user') verified.set(key, { user: caller, askAgainAt: at + maxAge });
      return caller;
    } catch (error) {
      if (known && error instanceof BrokerError && error.code === 'idp_unavailable') {
        verified.set(key, { user: known.user, askAgainAt: now() + retryMs });
        return known.user;
      }
      verified.delete(key);
      throw error;
    }
  };
}
