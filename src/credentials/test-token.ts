import { BrokerError } from '../errors.ts';
import type { Login } from './refresh-families.ts';
import type { Users } from './users-file.ts';

/** The name of the demo user, and of the one room that it may enter beside others. */
export const demoName = 'demo';

export interface TestToken {
  sub: string;
  token: string;
  /** Seconds. */
  expires_in: number;
  /** Absent: any. */
  rooms?: readonly string[];
}

export interface TestTokensOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Nobody but the demo user can come in here. */
  alone: boolean;
  users: () => Users;
  /** @param login whose token it is @returns the token, and the seconds it lives */
  sign: (login: Login) => Promise<{ token: string; expires_in: number }>;
}

/**
 * Makes tokens of the demo user for whoever asks. Where others can come in, it gets into one room of its own, and its name must
 * not be somebody's.
 *
 * @throws BrokerError `not_found` where USERS_FILE has a user of that name
 */
export function testTokens({ now, alone, users, sign }: TestTokensOptions): () => Promise<TestToken> {
  const bounds = alone ? {} : { rooms: [demoName] };
  return async () => {
    if (!alone && users().has(demoName)) throw new BrokerError('not_found', { reason: 'demo_is_a_user' });
    const login = { sub: demoName, username: demoName, auth_time: now() / 1000, ...bounds };
    return { sub: demoName, ...(await sign(login)), ...bounds };
  };
}
