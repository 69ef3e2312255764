import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until `holds`, whatever it throws meanwhile. @throws Error naming what was waited for after `seconds` */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  seconds = 30,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    await sleep(20);
  }
  throw new Error(`waited ${seconds} s in vain until ${what}`, { cause: last });
}
