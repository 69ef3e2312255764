import { setTimeout as sleep } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { fetchFailure } from '../fetch-failure.ts';
import { heartbeatMs, saysCurrent } from '../revocations/event-stream.ts';
import type { Feed } from '../revocations/feed.ts';
import { Retained, type RetainedOptions } from '../revocations/retained.ts';
import type { Revocation } from '../revocations/revocation.ts';
import type { GateLog } from './backing.ts';

export interface BrokerFeedOptions extends RetainedOptions {
  url: URL;
  serviceKey: string;
  fetch: typeof fetch;
  log: GateLog;
}

/** Milliseconds without a sign of life after which what we know does not count as current, and another connection is tried. */
const staleAfterMs = 3 * heartbeatMs;
/** Milliseconds between two tries, at most. */
const retryMs = 500;

/** The feed as a broker sends it: `GET /revocations`, resumed where it broke off. */
export function brokerFeed(options: BrokerFeedOptions): Omit<Feed, 'publish' | 'since' | 'silentMs'> {
  const { url, serviceKey, now, fetch, log } = options;
  const retained = new Retained(options);
  const stop = new AbortController();
  let cursor: string | undefined;
  let lastCurrent = Number.NEGATIVE_INFINITY;

  const parser = createParser({
    onEvent({ id, event, data }) {
      if (event !== 'revocation' || id === undefined) return;
      retained.add({ cursor: id, revocation: JSON.parse(data) as Revocation });
      cursor = id;
    },
    onComment(comment) {
      if (saysCurrent(comment)) lastCurrent = now();
    },
  });

  /** Reads until the connection breaks, or has nothing to say for too long. */
  const read = async (onOpen: () => void) => {
    const silence = new AbortController();
    const silent = setTimeout(() => silence.abort(new FeedFault('silent')), staleAfterMs);
    try {
      const response = await fetch(new URL('/revocations', url), {
        headers: {
          accept: 'text/event-stream',
          authorization: `Bearer ${serviceKey}`,
          ...(cursor !== undefined && { 'last-event-id': cursor }),
        },
        redirect: 'error',
        signal: AbortSignal.any([stop.signal, silence.signal]),
      });
      if (!response.ok || !response.body) throw new FeedFault(`status ${response.status}`);
      onOpen();
      parser.reset();
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        silent.refresh();
        parser.feed(text);
      }
    } finally {
      clearTimeout(silent);
    }
  };

  const follow = async () => {
    let known = '';
    const state = (is: string) => {
      if (is === known || stop.signal.aborted) return;
      known = is;
      if (is === 'open') log.info('the feed is open');
      else log.warn({ reason: is }, 'the feed cannot be read: nobody is admitted until it can');
    };
    while (!stop.signal.aborted) {
      await read(() => state('open')).catch((error: Error) =>
        state(error instanceof FeedFault ? error.message : fetchFailure(error)),
      );
      // Not all nodes at once.
      await sleep(retryMs * (0.5 + Math.random() / 2));
    }
  };
  const following = follow();

  return {
    follow: (listener) => retained.follow(listener),
    find: (subject) => retained.find(subject),
    get current() {
      return now() - lastCurrent < staleAfterMs;
    },
    async close() {
      stop.abort();
      await following;
    },
  };
}

class FeedFault extends Error {}
