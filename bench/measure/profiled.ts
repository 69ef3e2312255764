import { join } from 'node:path';
import type { Program } from '../process/program.ts';

/** Profiles what a program does meanwhile, where profiles are wanted. */
export async function profiled<T>(
  { name, profile }: Program,
  topic: string,
  folder: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (folder === undefined) return work();
  const end = await profile();
  const result = await work();
  await end(join(folder, `${topic}-${name.replaceAll(/\W+/g, '-')}.cpuprofile`));
  return result;
}
