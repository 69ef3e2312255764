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
 * @param onFault told once per faulty version
 * @throws FileFault, or the file system's error, when the file cannot be used at the start
 */
export function watchFile<T>(
  path: string,
  parse: (text: string) => T,
  onFault: (error: unknown) => void,
): WatchedFile<T> {
  let version = versionOf(path);
  let content = parse(readFileSync(path, 'utf8'));

  return {
    current() {
      try {
        const now = versionOf(path);
        if (now === version) return content;
        version = now;
        content = parse(readFileSync(path, 'utf8'));
      } catch (error) {
        if (version !== 'faulty') onFault(error);
        if (!(error instanceof FileFault)) version = 'faulty';
      }
      return content;
    },
  };
}

function versionOf(path: string): string {
  const { mtimeNs, size, ino } = statSync(path, { bigint: true });
  return `${ino}-${size}-${mtimeNs}`;
}

/** The lines that say something, with their numbers: no blank ones, no comments. */
export function* meaningfulLines(text: string): Generator<[number: number, line: string]> {
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line && !line.startsWith('#')) yield [index + 1, line];
  }
}
