import { setTimeout as sleep } from 'node:timers/promises';
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { BrokerError } from '../errors.ts';
import type { Verifier } from './caller.ts';
import { issuerOf, refusedToken, userFromClaims } from './claims.ts';

// A shared secret, or no signature at all, is never an identity provider's.
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** Milliseconds between two look-ups of the keys. */
const cooldownMs = 1000;
/** Seconds that the provider's clock may be ahead of ours. */
const clockTolerance = 5;

export interface IdpOptions {
  jwksUrl: string;
  issuer: string;
  audience: string;
  /** Milliseconds since the epoch. */
  now: () => number;
  fetch: typeof fetch;
}

/**
 * Verifies the access tokens of an identity provider by its published keys. A key that we have not seen yet is looked up
 * at once, so that rotating keys refuses nobody, but at most once a second, so that nobody can make us hammer the provider.
 */
export function idpTokenVerifier({ jwksUrl, issuer, audience, now, fetch }: IdpOptions): Verifier {
  const remote = createRemoteJWKSet(new URL(jwksUrl), {
    cooldownDuration: cooldownMs,
    timeoutDuration: 3000,
    [customFetch]: fetch,
  });
  // A key that was published since the last look-up is not refused while the next one may not be made yet, but waited for.
  const lookUp = (...key: Parameters<typeof remote>) =>
    remote(...key).catch(async (error: unknown) => {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !remote.coolingDown) throw error;
      await sleep(cooldownMs);
      return remote(...key);
    });
  const keys: JWTVerifyGetKey = (header, token) =>
    lookUp(header, token).catch((error: unknown) => {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
        throw error;
      throw new BrokerError('idp_unavailable', { reason: 'jwks_unreachable', cause: error });
    });

  const options = { issuer, audience, algorithms, requiredClaims: ['sub', 'exp', 'iat'] };
  const verify = async (credential: string): Promise<JWTPayload> => {
    const current = { ...options, currentDate: new Date(now()) };
    try {
      return (await jwtVerify(credential, keys, current)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // A token that does not name its key may be signed with any of those that fit.
      for await (const key of error) {
        const payload = await jwtVerify(credential, key, current).then(
          (verified) => verified.payload,
          (refusal: unknown) => {
            if (!(refusal instanceof errors.JWSSignatureVerificationFailed)) throw refusal;
          },
        );
        if (payload) return payload;
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  };

  return async (credential) => {
    if (issuerOf(credential) !== issuer) return undefined;
    const payload = await verify(credential).catch((error: unknown) => {
      throw refusedToken(error);
    });
    const [issued, present] = [Number(payload.iat), now() / 1000];
    // Later, when its time has come, no revocation of before would reach it.
    if (issued > present + clockTolerance) throw new BrokerError('invalid_token', { reason: 'iat_ahead' });
    // Not `name`: people may choose that themselves (OpenID Connect Core 5.7).
    const username = payload['preferred_username'] ?? payload['username'];
    return userFromClaims(payload, username, issued, present);
  };
}
