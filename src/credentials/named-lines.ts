import { lstat, open, readFile, realpath, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isName } from './caller.ts';

/** A credentials file: lines of `name:…`, among comments. */
export interface NamedLines {
  path: string;
  /** @throws FileFault for content that must not be written */
  check: (text: string) => unknown;
}

/**
 * Gives a name its line, in place of the one that it has.
 *
 * @returns whether it had one; with `keep`, that one stands
 * @throws Error for what cannot be a name
 */
export function putLine(
  file: NamedLines,
  name: string,
  rest: string,
  { keep = false } = {},
): Promise<boolean> {
  if (!isName(name) || /[:\s]|^#/.test(name)) {
    throw new Error('a name has 1 to 255 characters, none of them a colon, a space or a control character');
  }
  return edit(file, textOrNone, (lines) => {
    const index = indexOf(lines, name);
    if (index < 0) lines.push(`${name}:${rest}`);
    else if (!keep) lines[index] = `${name}:${rest}`;
    return index >= 0;
  });
}

/** @returns whether there was such a line. @throws Error where there is no such file */
export function dropLine(file: NamedLines, name: string): Promise<boolean> {
  return edit(file, textOf, (lines) => {
    const index = indexOf(lines, name);
    if (index >= 0) lines.splice(index, 1);
    return index >= 0;
  });
}

/** @throws Error where there is no such file: a mistyped path is no empty list */
export async function textOf(path: string): Promise<string> {
  const text = await textIn(path);
  if (text === undefined) throw new Error(`there is no file ${path}`);
  return text;
}

async function textOrNone(path: string): Promise<string> {
  return (await textIn(path)) ?? '';
}

async function textIn(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function indexOf(lines: readonly string[], name: string): number {
  return lines.findIndex((line) => line.trimStart().startsWith(`${name}:`));
}

/**
 * Changes the file's lines, comments and order kept, so that a reader sees the old file or the new one and two editors do
 * not lose each other's change.
 */
async function edit<T>(
  { path: named, check }: NamedLines,
  read: (path: string) => Promise<string>,
  change: (lines: string[]) => T,
): Promise<T> {
  // A link stays one: it is the file that is replaced, also for whoever reads it by its own name.
  const path = await placeOf(named);
  const lock = `${path}.lock`;
  await take(lock);
  try {
    const lines = (await read(path)).split('\n');
    while (lines.at(-1)?.trim() === '') lines.pop();
    const result = change(lines);
    const text = lines.map((line) => `${line}\n`).join('');
    check(text);
    await writeFile(`${path}.new`, text, { mode: await modeOf(path) });
    await rename(`${path}.new`, path);
    return result;
  } finally {
    await unlink(lock);
  }
}

/** @throws Error for what is no file, and so would be replaced by one: a device, a pipe, a link to nothing */
async function placeOf(named: string): Promise<string> {
  const path = await realpath(named).catch(() => named);
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isFile()) throw new Error(`${named} is no file`);
  return path;
}

async function take(lock: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await (await open(lock, 'wx')).close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (tries >= 50) throw new Error(`${lock} is held by another editor; remove it if there is none`);
      await sleep(100);
    }
  }
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.mode ?? 0o600;
}
