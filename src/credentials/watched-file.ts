import { readFileSync, statSync } from 'node:fs';

/** Something wrong with a file's content, by line: never quotes the line, which may hold a hash. */
export class FileFault extends Error {
  override readonly name = 'FileFault';
}

export interface WatchedFile<T> {
  /** The content as it is now; the last good one while the present one is missing or faulty. */
  current(): T;
}

/**
 * A file read again whenever it has changed, which is looked up at each use: the new user of a moment ago can log in, on
 * every node that sees the file.
 *
 * @param parse throws FileFault for content that must not be used
 * @param onFault told once per version that is faulty or cannot be read
 * @throws FileFault, or the file system's error, when the file cannot be used at the start
 */
export function watchFile<T>(
  path: string,
  parse: (text: string) => T,
  onFault: (error: unknown) => void,
): WatchedFile<T> {
  let version: string | undefined = versionOf(path);
  let content = parse(readFileSync(path, 'utf8'));
  let told: string | undefined;

  return {
    current() {
      let now = 'not there';
      try {
        now = versionOf(path);
        if (now === version) return content;
        const text = readFileSync(path, 'utf8');
        version = now;
        content = parse(text);
        told = undefined;
      } catch (error) {
        // What cannot be read is tried again at each use: it may be no fault of the file, such as too many open ones.
        if (!(error instanceof FileFault)) version = undefined;
        if (now !== told) onFault(error);
        told = now;
      }
      return content;
    },
  };
}

function versionOf(path: string): string {
  const { mtimeNs, ctimeNs, size, ino } = statSync(path, { bigint: true });
  return `${ino}-${size}-${mtimeNs}-${ctimeNs}`;
}

/** The lines that say something, with their numbers: no blank ones, no comments. */
export function* meaningfulLines(text: string): Generator<[number: number, line: string]> {
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line && !line.startsWith('#')) yield [index + 1, line];
  }
}
