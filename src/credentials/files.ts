import { readFileSync } from 'node:fs';
import { parseServiceKeys } from './service-keys.ts';
import { parseUsers } from './users-file.ts';

export type CredentialsFile = 'USERS_FILE' | 'SERVICE_KEYS_FILE';

/** Where they are, for those that are read. */
export type CredentialsFiles = Readonly<Partial<Record<CredentialsFile, string | undefined>>>;

/** What reads each of them. @throws FileFault */
export const parsers: Record<CredentialsFile, (text: string) => unknown> = {
  USERS_FILE: parseUsers,
  SERVICE_KEYS_FILE: parseServiceKeys,
};

/** What keeps the files that are named from being used, one sentence each. */
export function credentialsFileFaults(paths: CredentialsFiles): string[] {
  return (Object.keys(parsers) as CredentialsFile[]).flatMap((variable) => {
    const path = paths[variable];
    if (path === undefined) return [];
    try {
      parsers[variable](readFileSync(path, 'utf8'));
      return [];
    } catch (error) {
      return [fileFault(variable, error)];
    }
  });
}

/** A sentence for an error of the file system, or for a `FileFault`. */
export function fileFault(variable: CredentialsFile, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ? `${variable} cannot be read (${code})` : `${variable}: ${message}`;
}
