import { errors, jwtVerify, SignJWT } from 'jose';
import type { User, Verifier } from './caller.ts';
import { issuerOf, refusedToken, userFromClaims } from './claims.ts';
import type { SigningKeys } from './signing-keys.ts';

const issuer = 'ticket-broker';
const type = 'at+jwt';

export interface OwnTokensOptions {
  keys: SigningKeys;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Signs an access token (RFC 9068's `typ`) for a user, until `user.exp`. */
export async function issueToken(
  { keys: { signing }, now }: OwnTokensOptions,
  user: Omit<User, 'kind'>,
): Promise<string> {
  const { sub, username, rooms, auth_time, exp } = user;
  return new SignJWT({ username, auth_time, ...(rooms && { rooms }) })
    .setProtectedHeader({ alg: signing.alg, typ: type, ...(signing.kid && { kid: signing.kid }) })
    .setIssuer(issuer)
    .setSubject(sub)
    .setIssuedAt(Math.floor(now() / 1000))
    .setExpirationTime(Math.floor(exp))
    .sign(signing.sign);
}

/** Verifies the tokens that `issueToken` signs, with each key in turn while one is being rotated out. */
export function ownTokenVerifier({ keys, now }: OwnTokensOptions): Verifier {
  return async (credential) => {
    if (issuerOf(credential) !== issuer) return undefined;
    let refusal: unknown;
    for (const { alg, verify } of keys.verifying) {
      try {
        const { payload } = await jwtVerify(credential, verify, {
          issuer,
          typ: type,
          algorithms: [alg],
          requiredClaims: ['sub', 'exp', 'iat', 'auth_time'],
          currentDate: new Date(now()),
        });
        return userFromClaims(payload, payload['username'], Number(payload['auth_time']), now() / 1000);
      } catch (error) {
        refusal = refusedToken(error);
        if (!mayBeAnotherKey(error)) break;
      }
    }
    throw refusal;
  };
}

function mayBeAnotherKey(error: unknown): boolean {
  return error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JOSEAlgNotAllowed;
}
