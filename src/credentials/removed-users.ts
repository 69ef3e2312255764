import type { Revoke } from '../revocations/revoke.ts';

import type { Users } from './users-file.ts';

export interface RemovedUsersOptions {
  /** The users as they are now: another object whenever they have changed. */
  users: () => Users;
  revoke: Revoke;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds between two looks. */
  interval?: number;
}

/**
 * Revokes whoever is removed from the users file while this process runs. A revocation that cannot be made safe is tried
 * again until it is. @returns what ends that
 */
export function revokeRemovedUsers({ users, revoke, now, interval = 1000 }: RemovedUsersOptions): () => void {
  let known = users();
  const pending = new Map<string, number>();
  const look = async () => {
    const present = users();
    if (present !== known) {
      for (const name of known.keys()) if (!present.has(name)) pending.set(name, now() / 1000);
      known = present;
    }
    for (const [sub, issued_before] of pending) {
      await revoke({ sub, issued_before }, 'user removed');
      pending.delete(sub);
    }
  };
  const timer = setInterval(() => void look().catch(() => {}), interval).unref();
  return () => clearInterval(timer);
}
