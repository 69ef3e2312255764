import { setTimeout as sleep, setImmediate as turnEnds } from 'node:timers/promises';
import type { RedisConnection } from './connection.ts';

/** One line of the registry: a session in one of its hashes, or, with no text, its removal. */
export interface Entry {
  key: string;
  session_id: string;
  json: string;
  ttlMs: number;
}

/** Milliseconds that entries wait for others while there are many: nobody waits for them. */
const gatherMs = 5;
/** Entries in one script, so that none keeps Redis from others for long. */
const atOnce = 400;

export interface Enlisting {
  /** Resolves once the entries are written, in the order of the calls; what has failed is not tried again. */
  enter(...entries: Entry[]): Promise<void>;
  /** Waits for what is under way. */
  settled(): Promise<void>;
}

/**
 * Writes entries of the registry, many together: what comes alone is written in the same turn, so that whoever has been
 * welcomed is listed by the time they can ask; what comes while a writing is under way waits for that, and for others.
 *
 * @param beforehand what has to succeed before each writing
 */
export function enlisting(
  connection: Pick<RedisConnection, 'run' | 'sharded'>,
  beforehand: () => Promise<unknown>,
): Enlisting {
  let waiting: Entry[] = [];
  let sending: Promise<Map<Entry, Promise<unknown>>> | undefined;
  /** Never rejects. */
  let underWay: Promise<unknown> | undefined;

  const enlist = (entries: Entry[]) => {
    const args = entries.flatMap(({ session_id, json, ttlMs }) => [session_id, json, ttlMs]);
    const keys = entries.map(({ key }) => key);
    return connection.run('enlist', keys, ...args);
  };
  /** @returns what became of each */
  const write = async (entries: readonly Entry[]) => {
    await beforehand();
    // In Cluster, every key is on a primary of its own, and one that is away fails nobody else's.
    const together = Map.groupBy(entries, ({ key }, index) =>
      connection.sharded ? key : Math.floor(index / atOnce),
    );
    const written = new Map<Entry, Promise<unknown>>();
    for (const some of together.values()) {
      const writing = enlist(some);
      for (const entry of some) written.set(entry, writing);
    }
    await Promise.allSettled(written.values());
    return written;
  };
  /** Writes what has come together meanwhile, once the writing before it is over. */
  const send = async () => {
    await (underWay ? Promise.all([underWay, sleep(gatherMs)]) : turnEnds());
    const writing = write(waiting);
    waiting = [];
    sending = undefined;
    const over = writing
      .catch(() => {})
      .finally(() => {
        if (underWay === over) underWay = undefined;
      });
    underWay = over;
    return writing;
  };

  return {
    async enter(...entries) {
      waiting.push(...entries);
      sending ??= send();
      const written = await sending;
      await Promise.all(entries.map((entry) => written.get(entry)));
    },
    async settled() {
      await Promise.allSettled([sending, underWay]);
    },
  };
}
