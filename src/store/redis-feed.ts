import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { BrokerError } from '../errors.ts';
import type { Feed, FeedEntry } from '../revocations/feed.ts';
import { Retained, type RetainedOptions } from '../revocations/retained.ts';
import type { Revocation } from '../revocations/revocation.ts';
import { slices } from '../slices.ts';
import { mostEntries, type RedisConnection } from './connection.ts';
import { replyIn } from './driver-errors.ts';
import { ofPrimary } from './of-primary.ts';
import { type Look, samePrimary, staleAfterMs } from './same-primary.ts';

export interface RedisFeedOptions extends RetainedOptions {
  /** Its own: reading waits for entries, and what else went over it would wait with it. */
  follower: RedisConnection;
  /** Its own: publishing waits for a replica. */
  publisher: RedisConnection;
  /** That of the tickets: it must lead to the same primary, or tickets are spent where nobody hears of the latest revocations. */
  tickets: RedisConnection;
  /** Begins every key. */
  prefix: string;
  /** Milliseconds after which the stream may drop a revocation, for all nodes; absent: whatever their settings are, it cannot matter to any. */
  dropAfter?: number;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Told of each new tenure, of refusals by Redis of what following takes, and of their end: it may have become unfit, or fit again. */
  onChange?: () => void;
}

const never = Number.NEGATIVE_INFINITY;
/** Milliseconds that a read waits for entries, and thereby between two looks at the tenure. */
export const feedBlockMs = 500;
/** Milliseconds that a replica has to take over a revocation. */
const replicaWaitMs = 1000;
/** Milliseconds that the stream has to bring a revocation to the node that published it. */
const bringMs = 2000;
/** What a `*_TTL` may be at most, and the life of a ticket. */
const longestRetention = 366 * 86_400_000;
/** Revocations put back by one script, so that none keeps Redis from others for long. */
const putBackAtOnce = 500;

/**
 * The feed that all nodes share: a Redis Stream. A cursor is the tenure and the id; ids of another tenure mean nothing, so
 * after a failover everything is read again, what is known is dropped, and what the new primary lacks is put back. Only
 * then is the feed current.
 */
export function redisFeed(options: RedisFeedOptions): Feed {
  const { follower, publisher, tickets, prefix, now, dropAfter = longestRetention, log, onChange } = options;
  const retained = new Retained(options);
  const stream = `${prefix}revocations`;
  const primaries = samePrimary({
    follower,
    publisher,
    tickets,
    pulseKey: `${prefix}pulse:{${stream}}`,
    followed: () => tenure,
    log,
  });

  let closed = false;
  let tenure: string | undefined;
  let position = '0-0';
  let replicas = 0;
  /** When that read began which was the last to come to the stream's end: all that was published before is known. */
  let caughtUp = never;
  let lastHeard = now();
  let refused = false;
  /** What kind of error was logged last, so that it is logged once. */
  let fault: string | undefined;

  const tellRefusal = (is: boolean) => {
    if (is !== refused) onChange?.();
    refused = is;
  };
  /** Without its message, which may quote what was read. */
  const tellFault = ({ name: reason }: Error) => {
    if (reason !== fault)
      log.error({ reason, after: position }, 'the feed cannot be read: nobody is admitted until it can');
    fault = reason;
  };

  /** @param at what time it is at Redis, whose time an id begins with; absent: the entries have only just been made */
  const take = (entries: [id: string, value: string][], ofTenure: string, at?: number) => {
    for (const [id, value] of entries) {
      const entry = { cursor: `${ofTenure}-${id}`, revocation: JSON.parse(value) as Revocation };
      retained.add(entry, at === undefined ? 0 : at - Number.parseInt(id, 10));
      position = id;
    }
  };

  /** Resolves once the stream has brought a revocation, or it is too late for that. */
  const brought = (rid: string) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const unfollow = retained.follow(({ revocation }) => revocation.rid === rid && resolve());
    const late = setTimeout(resolve, bringMs);
    return promise.finally(() => {
      unfollow();
      clearTimeout(late);
    });
  };

  /** Reads the stream of a primary that we have not followed before, from its beginning, and puts back what it lacks. */
  const join = async ({ tenure: current, at }: Look) => {
    position = '0-0';
    const present = new Set<string>();
    const readOn = async () => {
      for (;;) {
        const entries = await follower.readStream(stream, position, 0);
        if (entries.length === 0) return;
        for (const [, value] of entries) present.add((JSON.parse(value) as Revocation).rid);
        take(entries, current, at);
      }
    };
    const lacks = ({ revocation }: FeedEntry) => !present.has(revocation.rid);
    await readOn();
    const lacking = retained.all().filter(lacks);
    for (const some of slices(lacking, putBackAtOnce)) {
      // Other nodes put back the same, each a part at a time: what has come meanwhile is read first.
      await readOn();
      const args = some
        .filter(lacks)
        .flatMap(({ revocation }) => [revocation.rid, JSON.stringify(revocation)]);
      const [outcome] = await follower.run('restore', stream, current, position, ...args);
      if (outcome !== 'restored') return;
    }
    if (lacking.length > 0) {
      log.warn({ revocations: lacking.length }, 'a new primary lacked revocations: put back');
    }
    tenure = current;
  };

  /** One look at the primary, then all that is new. */
  const step = async () => {
    const look = await primaries.lookAt(follower);
    replicas = look.replicas;
    lastHeard = now();
    if (look.tenure !== tenure) {
      tenure = undefined;
      await join(look);
      if (tenure === undefined) return;
      caughtUp = lastHeard;
      onChange?.();
    }
    void primaries.compare();
    const asked = now();
    // Who may lack something does not wait for more.
    const entries = await follower.readStream(stream, position, caughtUp === never ? 0 : feedBlockMs);
    take(entries, tenure ?? '');
    caughtUp = entries.length < mostEntries ? asked : never;
    tellRefusal(false);
    fault = undefined;
  };

  const follow = async () => {
    while (!closed) {
      try {
        await step();
      } catch (error) {
        // What has been revoked since is not known before the next step succeeds.
        caughtUp = never;
        if (replyIn(error) !== undefined) tellRefusal(true);
        // That Redis is away is logged by whoever connects.
        if (!(error instanceof BrokerError)) tellFault(error as Error);
        await sleep(100);
      }
    }
  };
  void follow();

  return {
    async publish(revocation) {
      const call = ['publish', stream, dropAfter, JSON.stringify(revocation)] as const;
      const needed = Math.min(replicas, 1);
      const [answer, reached] = await publisher.runAndWait(needed, replicaWaitMs, ...call);
      const [, current, id] = ofPrimary<string>(publisher, answer);
      // Not by ourselves: what others published before it may still come, and who resumes elsewhere would never hear of that.
      if (!retained.has(revocation.rid)) await brought(revocation.rid);
      if (!retained.has(revocation.rid)) {
        throw new BrokerError('store_unavailable', {
          reason: 'store: the feed does not bring the revocation',
        });
      }
      if (reached < needed) {
        throw new BrokerError('store_unavailable', { reason: 'store: no replica has the revocation yet' });
      }
      return `${current}-${id}`;
    },

    follow: (listener) => retained.follow(listener),
    since: (cursor) => retained.since(cursor),
    find: (subject) => retained.find(subject),

    get current() {
      return tenure !== undefined && !primaries.apart && now() - caughtUp < staleAfterMs;
    },

    get silentMs() {
      return now() - lastHeard;
    },

    async close() {
      closed = true;
      await Promise.all([follower.close(), publisher.close()]);
    },
  };
}
