import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Backplane, BackplaneLimits, Said } from '../chat/backplane.ts';
import { BrokerError } from '../errors.ts';
import { slices } from '../slices.ts';
import { chatKeys } from './chat-keys.ts';
import type { RedisConnection } from './connection.ts';
import { reasonOf, replyIn } from './driver-errors.ts';
import { type Entry, entryIn, redisHistory } from './redis-history.ts';
import { redisPresence } from './redis-presence.ts';
import { redisSubscriber, type SubscriberOptions } from './redis-subscriber.ts';

export interface RedisBackplaneOptions extends BackplaneLimits {
  connection: RedisConnection;
  /** Where the subscriber connects. */
  place: Pick<SubscriberOptions, 'address' | 'tls' | 'commandTimeout'>;
  log: Pick<Logger, 'error' | 'info'>;
  /** Begins every key and channel. */
  prefix: string;
  /** The name of this process, unlike that of any other. */
  node: string;
  /** Milliseconds after which a silent node's members are gone. */
  leaseMs?: number;
  /** Milliseconds between two looks for rooms that nobody hears any more: whoever reconnects finds theirs as it was. */
  sweepMs?: number;
}

interface HeardRoom {
  readonly listeners: Set<(said: Said) => void>;
  /** The ids of what was heard last and kept, so that the history brings only what was missed. */
  readonly recent: Set<string>;
  /** Whether the history has been looked at: what it held then was said before anybody here heard the room. */
  primed: boolean;
  /** Resolves once its channel is subscribed to. */
  readonly subscribed: Promise<void>;
}

const grantsHint = ': is its Redis user granted what docs/guarantees.md lists?';
/** Milliseconds between two tries to read what was missed. */
const retryMs = 500;
/** Histories that are read at once after a break: the tickets' commands stand in the same line. */
const readAtOnce = 100;

/**
 * The rooms that all nodes share, `chat:{<room>}:…`: who hears what here is in this file, what is said and kept in
 * `redis-history.ts`, and who is there in `redis-presence.ts`.
 */
export function redisBackplane(options: RedisBackplaneOptions): Backplane {
  const { connection, place, prefix, node, history, log, leaseMs = 45_000, sweepMs = 5000 } = options;
  const keys = chatKeys(prefix, place.address.db);
  const presence = redisPresence({ connection, keys, node, leaseMs });
  const kept = redisHistory({ connection, keys, history });
  const heardRooms = new Map<string, HeardRoom>();

  /** What is not kept never comes from the history, and must not make anybody forget what does. */
  const isNews = ({ recent }: HeardRoom, { id, kept }: Entry) => {
    if (!kept) return true;
    if (recent.has(id)) return false;
    recent.add(id);
    for (const oldest of recent) {
      if (recent.size <= 2 * history + 100) break;
      recent.delete(oldest);
    }
    return true;
  };
  const deliver = (room: HeardRoom, entry: Entry) => {
    if (!isNews(room, entry)) return;
    const { id, text } = entry;
    for (const listener of room.listeners) listener({ id, text });
  };

  /** What a room has said while nobody here could hear it; what it said before it was heard at all is not among it. */
  const catchUp = async (name: string, room: HeardRoom) => {
    const all = await kept.of(name);
    for (const entry of all) {
      if (room.primed) deliver(room, entry);
      else isNews(room, entry);
    }
    room.primed = true;
    return all;
  };

  /** The same for each, as soon as Redis answers, some at a time. @param wanted whether it still is */
  const catchUpSoon = async (rooms: Iterable<[string, HeardRoom]>, wanted = () => true) => {
    for (let left = [...rooms]; left.length > 0; ) {
      const behind: typeof left = [];
      for (const some of slices(left, readAtOnce)) {
        if (!wanted()) return;
        const here = some.filter(([name, room]) => heardRooms.get(name) === room);
        await Promise.all(
          here.map(([name, room]) => catchUp(name, room).catch(() => behind.push([name, room]))),
        );
      }
      left = behind;
      if (left.length > 0) await sleep(retryMs, undefined, { ref: false });
    }
  };

  const subscribe = async (name: string, room: HeardRoom) => {
    await catchUp(name, room).catch(() => {});
    if (heardRooms.get(name) !== room) return;
    await subscriber.subscribe(keys.channel(name));
    // What came in between.
    void catchUpSoon([[name, room]]);
  };

  /** Who speaks or asks what has been said wants to hear what comes next. */
  const subscribed = async (name: string) => {
    const room = heardRooms.get(name);
    if (!room) return;
    const late = new AbortController();
    const tooLate = sleep(place.commandTimeout, undefined, { signal: late.signal }).then(() => {
      throw new BrokerError('store_unavailable', { reason: 'store: not subscribed yet' });
    });
    tooLate.catch(() => {});
    await Promise.race([room.subscribed, tooLate]).finally(() => late.abort());
  };

  let fault: string | undefined;
  let resumptions = 0;
  const pulse = keys.pulse(node);
  const subscriber = redisSubscriber({
    ...place,
    pulse,
    beat: () => connection.command('PUBLISH', pulse, ''),
    onMessage(channel, message) {
      const room = heardRooms.get(keys.roomOf(channel));
      if (room) deliver(room, entryIn(message));
    },
    onFault(error) {
      const reason = reasonOf(error);
      const hint = reason === 'replied NOPERM' ? grantsHint : '';
      if (reason !== fault) log.error({ reason }, `the chat cannot be heard${hint}`);
      fault = reason;
    },
    onResumed() {
      if (fault) log.info('the chat is heard again');
      fault = undefined;
      const resumption = ++resumptions;
      void catchUpSoon(heardRooms, () => resumption === resumptions);
    },
  });

  const sweeping = setInterval(() => {
    for (const [name, { listeners }] of heardRooms) {
      if (listeners.size > 0) continue;
      heardRooms.delete(name);
      subscriber.unsubscribe(keys.channel(name));
    }
  }, sweepMs).unref();

  const denied = new Set<string>();
  /** Tells once that Redis refuses a call for want of a grant. That it cannot be reached is told by whoever connects. */
  const telling =
    <Args extends unknown[], Answer>(name: string, call: (...args: Args) => Promise<Answer>) =>
    async (...args: Args): Promise<Answer> => {
      try {
        const answer = await call(...args);
        denied.delete(name);
        return answer;
      } catch (error) {
        if (replyIn(error) === 'NOPERM' && !denied.has(name)) {
          denied.add(name);
          log.error({ call: name }, `the chat is refused${grantsHint}`);
        }
        throw error;
      }
    };

  return {
    hear(room, listener) {
      const known = heardRooms.get(room);
      const { promise, resolve } = Promise.withResolvers<void>();
      const asked = known ?? { listeners: new Set(), recent: new Set(), primed: false, subscribed: promise };
      asked.listeners.add(listener);
      if (!known) {
        heardRooms.set(room, asked);
        void subscribe(room, asked).then(resolve);
      }
      return () => void asked.listeners.delete(listener);
    },
    say: telling('say', async (room: string, said: Said, keep: boolean) => {
      await subscribed(room);
      await kept.say(room, said, keep);
    }),
    history: telling('history', async (room: string) => {
      await subscribed(room);
      const heard = heardRooms.get(room);
      const all = await (heard ? catchUp(room, heard) : kept.of(room));
      return all.map(({ id, text }) => ({ id, text }));
    }),
    arrive: telling('arrive', presence.arrive),
    depart: presence.depart,
    members: telling('members', presence.members),
    async close() {
      clearInterval(sweeping);
      heardRooms.clear();
      subscriber.close();
      await presence.close();
    },
  };
}
