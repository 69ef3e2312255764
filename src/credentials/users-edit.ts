import { open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isName } from './caller.ts';
import { parseUsers } from './users-file.ts';

/** @returns whether the user was there before */
export function setUser(path: string, username: string, hash: string): Promise<boolean> {
  if (!isName(username) || /[:\s]|^#/.test(username)) {
    throw new Error(
      'a user name has 1 to 255 characters, none of them a colon, a space or a control character',
    );
  }
  return edit(path, (lines) => {
    const index = lines.findIndex((line) => line.startsWith(`${username}:`));
    if (index >= 0) lines[index] = `${username}:${hash}`;
    else lines.push(`${username}:${hash}`);
    return index >= 0;
  });
}

/** @returns whether there was such a user */
export function removeUser(path: string, username: string): Promise<boolean> {
  return edit(path, (lines) => {
    const index = lines.findIndex((line) => line.startsWith(`${username}:`));
    if (index >= 0) lines.splice(index, 1);
    return index >= 0;
  });
}

export async function listUsers(path: string): Promise<string[]> {
  return [...parseUsers(await read(path)).keys()];
}

/**
 * Changes the file's lines, comments and order kept, so that a reader sees the old file or the new one and two editors do
 * not lose each other's change.
 */
async function edit<T>(path: string, change: (lines: string[]) => T): Promise<T> {
  const lock = `${path}.lock`;
  await take(lock);
  try {
    const lines = (await read(path)).split('\n');
    while (lines.at(-1)?.trim() === '') lines.pop();
    const result = change(lines);
    const text = lines.map((line) => `${line}\n`).join('');
    parseUsers(text);
    await writeFile(`${path}.new`, text, { mode: await modeOf(path) });
    await rename(`${path}.new`, path);
    return result;
  } finally {
    await unlink(lock);
  }
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

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.mode ?? 0o600;
}
