import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';
import type { Feed } from '../revocations/feed.ts';

export type Followed = Pick<Feed, 'current' | 'silentMs' | 'follow'>;

/** How far this node is with what has been revoked. @param now milliseconds since the epoch */
export function feedMetrics(registers: Registry[], now: () => number): { follow(feed: Followed): void } {
  const startedAt = now();
  let followed: Followed | undefined;

  const lag = new Histogram({
    name: 'ticket_broker_revocation_lag_seconds',
    help: 'Time from a revocation until this process had heard of it; of what is older than the process, nothing.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const entries = new Counter({
    name: 'ticket_broker_feed_entries_total',
    help: 'Revocations that this process has heard of, each once.',
    registers,
  });
  new Gauge({
    name: 'ticket_broker_feed_current',
    help: '1 when this process has heard of all revocations; 0: it admits nobody.',
    registers,
    collect() {
      this.set(followed?.current ? 1 : 0);
    },
  });
  new Gauge({
    name: 'ticket_broker_feed_age_seconds',
    help: 'Time since the last sign of life of the feed of revocations.',
    registers,
    collect() {
      this.set((followed?.silentMs ?? now() - startedAt) / 1000);
    },
  });

  return {
    follow(feed) {
      followed = feed;
      feed.follow(({ revocation: { at } }) => {
        entries.inc();
        // What is read when the process starts was decided when there was nobody to hear it. Clocks differ a little.
        if (at * 1000 >= startedAt) lag.observe(Math.max(now() / 1000 - at, 0));
      });
    },
  };
}
