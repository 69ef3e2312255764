import { decodeJwt, errors, type JWTPayload } from 'jose';
import { BrokerError } from '../errors.ts';
import { isRoom } from '../tickets/room.ts';
import { isName, type User } from './caller.ts';

/** Who a credential says issued it, before anything is believed; undefined when it is no JWT. */
export function issuerOf(credential: string): string | undefined {
  // Looked at before it is decoded, since a service key is none, and throwing costs more than all else that is done with it.
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(credential)) return undefined;
  try {
    return decodeJwt(credential).iss;
  } catch {
    return undefined;
  }
}

/**
 * The user that a verified token speaks of.
 *
 * @param authTime Unix seconds; never believed to lie in the future, where no revocation would reach it
 * @param now Unix seconds
 * @throws BrokerError `invalid_token`
 */
export function userFromClaims(claims: JWTPayload, username: unknown, authTime: number, now: number): User {
  const { sub, exp } = claims;
  const rooms: unknown = claims['rooms'];
  if (!isName(sub)) throw new BrokerError('invalid_token', { reason: 'bad_sub' });
  if (exp === undefined) throw new BrokerError('invalid_token', { reason: 'no_exp' });
  if (!Number.isFinite(authTime)) throw new BrokerError('invalid_token', { reason: 'bad_auth_time' });
  if (rooms !== undefined && !(Array.isArray(rooms) && rooms.every(isRoom))) {
    throw new BrokerError('invalid_token', { reason: 'bad_rooms' });
  }
  return {
    kind: 'user',
    sub,
    username: isName(username) ? username : sub,
    ...(rooms && { rooms }),
    auth_time: Math.min(authTime, now),
    exp,
  };
}

/** Turns jose's refusal of a token into ours; anything else passes. */
export function refusedToken(error: unknown): unknown {
  if (!(error instanceof errors.JOSEError)) return error;
  return new BrokerError('invalid_token', { reason: error.code.toLowerCase() });
}
