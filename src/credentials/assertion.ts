import { SignJWT } from 'jose';
import type { Session } from '../tickets/session.ts';
import type { SigningKeys } from './signing-keys.ts';

/** Seconds. */
const lifetime = 60;

/** Signs that a session was let in, for a service that wants to know that an identity header is ours. */
export type Assert = (session: Session, audience: string | undefined) => Promise<string>;

/**
 * @param keys public ones only: who shares a secret to verify this could sign tokens with it
 * @param now milliseconds since the epoch
 */
export function asserter({ signing }: SigningKeys, now: () => number): Assert {
  return ({ session_id, record: { sub, username, rooms } }, audience) => {
    const issuedAt = Math.floor(now() / 1000);
    const assertion = new SignJWT({ username, sid: session_id, ...(rooms && { rooms }) })
      .setProtectedHeader({
        alg: signing.alg,
        typ: 'wst-assertion+jwt',
        ...(signing.kid && { kid: signing.kid }),
      })
      .setIssuer('ticket-broker')
      .setSubject(sub)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + lifetime);
    if (audience !== undefined) assertion.setAudience(audience);
    return assertion.sign(signing.sign);
  };
}
