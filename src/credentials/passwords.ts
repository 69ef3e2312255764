import { createHmac } from 'node:crypto';
import { hash as argon2id, verify as verifyArgon2 } from '@node-rs/argon2';
import bcrypt from 'bcrypt';
import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Users } from './users-file.ts';

/** OWASP's password storage recommendation for argon2id: 19 MiB, two passes, one lane. */
export function hashPassword(password: string): Promise<string> {
  return argon2id(password, { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 });
}

export interface PasswordsOptions {
  /** The users as they are now. */
  users: () => Users;
  randomBytes: RandomBytes;
  /** Hashes computed or waiting at most: each costs some 20 ms of a core and 19 MiB. */
  maxPending?: number;
}

/**
 * Answers whether the password is the user's, after the same work whether or not there is such a user.
 *
 * @throws BrokerError `overloaded` when too many passwords wait already
 */
export type CheckPassword = (username: string, password: string) => Promise<boolean>;

export function passwordCheck({ users, randomBytes, maxPending = 64 }: PasswordsOptions): CheckPassword {
  const secret = randomBytes(32);
  const nobody = hashPassword(secret.toString('base64'));
  let pending = 0;

  /**
   * The hash of some user, always the same one for the same name, so that a name which nobody has takes the time that
   * one of the names which somebody has takes, even in a file of mixed schemes and costs.
   */
  const stranger = async (known: Users, username: string): Promise<string> => {
    const hashes = [...known.values()];
    const index =
      createHmac('sha256', secret).update(username).digest().readUInt32BE() % (hashes.length || 1);
    return hashes[index] ?? nobody;
  };

  return async (username, password) => {
    if (pending >= maxPending) throw new BrokerError('overloaded', { reason: 'password_queue' });
    pending++;
    try {
      const known = users();
      const hash = known.get(username);
      const matches = await verify(hash ?? (await stranger(known, username)), password);
      return matches && hash !== undefined;
    } finally {
      pending--;
    }
  };
}

async function verify(hash: string, password: string): Promise<boolean> {
  if (hash.startsWith('$argon2')) return verifyArgon2(hash, password);
  // `$2y$` is PHP's and Apache's name for what everybody else calls `$2b$`.
  return bcrypt.compare(password, hash.replace(/^\$2y\$/, '$2b$'));
}
