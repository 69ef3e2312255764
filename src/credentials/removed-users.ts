import { repeatedly } from '../repeatedly.ts';
import type { Revoke } from '../revocations/revoke.ts';
import type { Users } from './users-file.ts';

export interface RemovedUsersOptions {
  /** The users as they are now. */
  users: () => Users;
  revoke: Revoke;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds between two looks. */
const interval = 1000;
/** In how many looks on end a user is missing who has been removed, and not one whose line is still being written. */
const looks = 3;

/**
 * Revokes whoever is removed from the users file while this process runs. A revocation that cannot be made safe is tried
 * again until it is. @returns what ends that, once no revocation is under way
 */
export function revokeRemovedUsers({ users, revoke, now }: RemovedUsersOptions): () => Promise<void> {
  const known = new Set(users().keys());
  const missing = new Map<string, number>();
  const removed = new Map<string, number>();

  const look = async () => {
    const present = users();
    for (const name of present.keys()) known.add(name);
    for (const name of known) {
      if (present.has(name)) missing.delete(name);
      else missing.set(name, (missing.get(name) ?? 0) + 1);
    }
    for (const [name, times] of missing) {
      if (times < looks) continue;
      removed.set(name, now() / 1000);
      missing.delete(name);
      known.delete(name);
    }
    for (const [sub, issued_before] of removed) {
      await revoke({ sub, issued_before }, 'user removed');
      removed.delete(sub);
    }
  };
  return repeatedly(interval, look).stop;
}
