import { dropLine, putLine, textOf } from './named-lines.ts';
import { parseUsers } from './users-file.ts';

const usersIn = (path: string) => ({ path, check: parseUsers });

/** @returns whether the user was there before */
export function setUser(path: string, username: string, hash: string): Promise<boolean> {
  return putLine(usersIn(path), username, hash);
}

/** @returns whether there was such a user. @throws Error where there is no such file */
export function removeUser(path: string, username: string): Promise<boolean> {
  return dropLine(usersIn(path), username);
}

/** @throws Error where there is no such file */
export async function listUsers(path: string): Promise<string[]> {
  return [...parseUsers(await textOf(path)).keys()];
}
