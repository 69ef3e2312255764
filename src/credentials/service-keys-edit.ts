import { hash } from 'node:crypto';
import type { RandomBytes } from '../random.ts';
import type { Scope, Service } from './caller.ts';
import { dropLine, putLine, textOf } from './named-lines.ts';
import { parseServiceKeys } from './service-keys.ts';

const keysIn = (path: string) => ({ path, check: parseServiceKeys });

/**
 * Makes a key of 256 random bits for a new service and keeps its hash.
 *
 * @returns the key, which nobody can say again; undefined: there is a service of that name, and its key stands
 */
export async function addServiceKey(
  path: string,
  name: string,
  scopes: readonly Scope[],
  randomBytes: RandomBytes,
): Promise<string | undefined> {
  // The prefix is for those who search code and logs for what should not be there.
  const key = `wsk_${randomBytes(32).toString('base64url')}`;
  const line = `${hash('sha256', key)}:${scopes.join(',')}`;
  return (await putLine(keysIn(path), name, line, { keep: true })) ? undefined : key;
}

/** @returns whether there was such a service. @throws Error where there is no such file */
export function removeServiceKey(path: string, name: string): Promise<boolean> {
  return dropLine(keysIn(path), name);
}

/** @throws Error where there is no such file */
export async function listServices(path: string): Promise<Service[]> {
  return parseServiceKeys(await textOf(path)).map(({ service }) => service);
}
