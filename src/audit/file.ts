import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Whether there is a file to begin anew. */
export function isFile(where: string): boolean {
  return where !== 'stdout' && where !== 'stderr';
}

/** What will keep the audit's file from being opened, as far as can be seen without: whoever reads a pipe would see it end. */
export function auditFaults(where: string | undefined): string[] {
  if (where === undefined || !isFile(where)) return [];
  try {
    const found = statSync(where, { throwIfNoEntry: false });
    if (found?.isDirectory()) return [faultOf({ code: 'EISDIR' })];
    // With the dot, only of a folder.
    accessSync(found ? where : `${dirname(where)}/.`, constants.W_OK);
    return [];
  } catch (error) {
    return [faultOf(error)];
  }
}

/** A sentence for an error of the file system. */
export function faultOf(error: unknown): string {
  return `AUDIT_LOG cannot be opened (${(error as NodeJS.ErrnoException).code})`;
}
