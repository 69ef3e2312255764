import { randomUUID } from 'node:crypto';
import type { Feed } from '../revocations/feed.ts';
import { Retained, type RetainedOptions } from '../revocations/retained.ts';

/** The feed of a single process: what it publishes is all there is. */
export function memoryFeed(options: RetainedOptions): Feed {
  const retained = new Retained(options);
  const run = randomUUID();
  let position = 0;
  return {
    async publish(revocation) {
      const cursor = `${run}-${++position}`;
      retained.add({ cursor, revocation });
      return cursor;
    },
    follow: (listener) => retained.follow(listener),
    since: (cursor) => retained.since(cursor),
    find: (subject) => retained.find(subject),
    current: true,
    silentMs: 0,
    async close() {},
  };
}
