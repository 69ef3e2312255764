import { secrets, variables } from './variables.ts';

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
    const meant = [...known].find(
      (ours) => !env[ours] && editsBetween(name, ours, toleranceOf(ours)) <= toleranceOf(ours),
    );
    return meant === undefined ? [] : [{ name, meant }];
  });
}

/** Edits that a name may be away. Every environment has one like HOST, PORT, DEMO, CHAT and TIERS: HOME, PATH, USER. */
function toleranceOf(ours: string): number {
  if (!ours.includes('_')) return 0;
  return ours.length < 10 ? 1 : 2;
}

/** Letters put in, left out, replaced, or exchanged with their neighbours (optimal string alignment). */
function editsBetween(a: string, b: string, atMost: number): number {
  if (Math.abs(a.length - b.length) > atMost) return Number.POSITIVE_INFINITY;
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= a.length; row++) {
    rows[row] = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const isSwapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      (rows[row] as number[])[column] = Math.min(
        at(row - 1, column) + 1,
        at(row, column - 1) + 1,
        at(row - 1, column - 1) + (isSame ? 0 : 1),
        isSwapped ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return at(a.length, b.length);
}
