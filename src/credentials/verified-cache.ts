import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Caller, Verifier } from './caller.ts';

/**
 * Remembers what a verifier said of a token until the token expires, so that a client's second ticket costs no second
 * signature check. Bounded; keyed by the token's SHA-256, so that no token stays in memory.
 *
 * @param now milliseconds since the epoch
 */
export function cachedVerifier(verify: Verifier, now: () => number, max = 20_000): Verifier {
  const verified = new LRUCache<string, Caller & { kind: 'user' }>({ max });
  return async (credential) => {
    const key = hash('sha256', credential, 'base64url');
    const known = verified.get(key);
    if (known && known.exp * 1000 > now()) return known;
    const caller = await verify(credential);
    if (caller?.kind === 'user') verified.set(key, caller);
    return caller;
  };
}
