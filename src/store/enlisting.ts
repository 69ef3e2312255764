import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from './connection.ts';

/** One line of the registry: a session in one of its hashes, or, with no text, its removal. */
export interface Entry {
  key: string;
  session_id: string;
  json: string;
  ttlMs: number;
}

/** Milliseconds that entries wait for others: nobody waits for them. */
const gatherMs = 5;
/** Entries in one script, so that none keeps Redis from others for long. */
const atOnce = 400;

export interface Enlisting {
  /** Resolves once the entries are written, in the order of the calls; what has failed is not tried again. */
  enter(...entries: Entry[]): Promise<void>;
  /** Waits for what is under way. */
  settled(): Promise<void>;
}

/** Writes entries of the registry, many together. @param beforehand what has to succeed before each writing */
export function enlisting(
  connection: Pick<RedisConnection, 'run' | 'sharded'>,
  beforehand: () => Promise<unknown>,
): Enlisting {
  let waiting: Entry[] = [];
  let sending: Promise<Map<Entry, Promise<unknown>>> | undefined;
  let underWay: Promise<unknown> = Promise.resolve();

  const enlist = (entries: Entry[]) => {
    const args = entries.flatMap(({ session_id, json, ttlMs }) => [session_id, json, ttlMs]);
    const keys = entries.map(({ key }) => key);
    return connection.run('enlist', keys, ...args);
  };
  /** Writes what has come together meanwhile, once the write before it is over. @returns what became of each */
  const send = async () => {
    await Promise.allSettled([underWay, sleep(gatherMs)]);
    const entries = waiting;
    waiting = [];
    underWay = sending ?? underWay;
    sending = undefined;
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
