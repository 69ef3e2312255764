import { historyMs, mostHistories, type Said } from '../chat/backplane.ts';
import type { ChatKeys } from './chat-keys.ts';
import type { RedisConnection } from './connection.ts';

export interface RedisHistoryOptions {
  connection: RedisConnection;
  keys: Pick<ChatKeys, 'rooms' | 'channel' | 'history'>;
  /** How many messages of a room are kept. */
  history: number;
}

/** What goes over the channel, and into the history. */
export interface Entry extends Said {
  readonly kept: boolean;
}

export interface RedisHistory {
  /** What was kept of a room, oldest first. */
  of(room: string): Promise<Entry[]>;
  /** Says something to all who hear the room, and keeps it where `keep` and the settings say so. */
  say(room: string, said: Said, keep: boolean): Promise<void>;
}

/** What is said in rooms, and the last of it that is kept: a list for each room. */
export function redisHistory({ connection, keys, history }: RedisHistoryOptions): RedisHistory {
  /**
   * Rooms cost nothing to make up, and what is kept of them must never crowd out tickets: the histories go of the rooms in
   * which nothing was kept for the longest. It runs after each message that was kept, and nobody waits for it.
   */
  const bound = async (room: string) => {
    const isNew = await connection.command('ZADD', keys.rooms, Date.now(), room);
    if (isNew !== 1) return;
    const oldest = await connection.command('ZRANGE', keys.rooms, 0, -mostHistories - 1);
    for (const name of oldest as string[]) {
      await connection.command('DEL', keys.history(name));
      await connection.command('ZREM', keys.rooms, name);
    }
  };
  return {
    async of(room) {
      return ((await connection.command('LRANGE', keys.history(room), 0, -1)) as string[]).map(entryIn);
    },
    async say(room, { id, text }, keep) {
      const most = keep ? history : 0;
      const entry = `${most > 0 ? '+' : '-'}${id} ${text}`;
      await connection.run('say', keys.history(room), keys.channel(room), entry, most, historyMs);
      if (most > 0) bound(room).catch(() => {});
    },
  };
}

/** Reads what came over the channel. */
export function entryIn(text: string): Entry {
  const space = text.indexOf(' ');
  return { kept: text.startsWith('+'), id: text.slice(1, space), text: text.slice(space + 1) };
}
