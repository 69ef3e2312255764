import leven from 'leven';
import { secrets, variables } from '../variables.ts';

/** A variable that nobody reads, and the one that it is likely to be meant for. */
export interface Misspelt {
  name: string;
  meant: string;
}

const known = new Set<string>([...Object.keys(variables), ...secrets.map((name) => `${name}_FILE`)]);

/**
 * Variables of the environment whose names are nearly ours. One whose right name is set as well is somebody else's, such as
 * the REDIS_URI of another program.
 */
export function misspelt(env: NodeJS.ProcessEnv): Misspelt[] {
  const others = Object.keys(env).filter((name) => env[name] && !known.has(name));
  return others.flatMap((name) => {
    const isFree = (ours: string) => !env[ours] && !env[`${ours}_FILE`];
    const meant = [...known].find((ours) => isFree(ours) && leven(name, ours) <= toleranceOf(ours));
    return meant === undefined ? [] : [{ name, meant }];
  });
}

/** Edits that a name may be away. Every environment has one like HOST, PORT, DEMO, CHAT and TIERS: HOME, PATH, USER. */
function toleranceOf(ours: string): number {
  if (!ours.includes('_')) return 0;
  return ours.length < 10 ? 1 : 2;
}
