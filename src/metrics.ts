import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { Facts } from './decisions.ts';
import { decisionCounters } from './metrics/decisions.ts';
import { type Followed, feedMetrics } from './metrics/feed.ts';
import { processMetrics } from './metrics/process.ts';
import type { Store } from './store/store.ts';
import { version } from './version.ts';

/** What operators watch. No label takes a value that a client can choose, or one of which there are more with more users. */
export interface Metrics {
  decided(facts: Facts, granted: boolean, reason: string): void;
  socketOpened(): void;
  /** @param code RFC 6455 7.4 */
  socketClosed(code: number): void;
  /** @param command of a closed set: a script of ours, or a command that we name ourselves */
  commandTook(command: string, seconds: number): void;
  auditLost(lines: number): void;
  /** Says whose state is to be told with every scrape. */
  watch(opened: { store: Pick<Store, 'check'>; feed: Followed }): void;
  /** The Prometheus text format, and its content type. What Node tells of itself, it tells from the first call on. */
  text(): Promise<string>;
  readonly contentType: string;
  readonly registry: Registry;
}

/** @param now milliseconds since the epoch */
export function createMetrics(now: () => number = Date.now): Metrics {
  const registry = new Registry();
  const registers = [registry];
  let store: Pick<Store, 'check'> | undefined;

  new Gauge({
    name: 'ticket_broker_build_info',
    help: 'Always 1; says which version runs on which Node.',
    labelNames: ['version', 'node_version'],
    registers,
  }).set({ version, node_version: process.versions.node }, 1);
  const decided = decisionCounters(registers);
  const open = new Gauge({
    name: 'ticket_broker_sockets_open',
    help: 'Admitted sockets of this process.',
    registers,
  });
  const closes = new Counter({
    name: 'ticket_broker_sockets_closed_total',
    help: 'Admitted sockets that closed, by close code.',
    labelNames: ['code'],
    registers,
  });
  const feed = feedMetrics(registers, now);
  new Gauge({
    name: 'ticket_broker_store_up',
    help: '1 when tickets can be minted and redeemed now; asked with every scrape.',
    registers,
    async collect() {
      const up = await store?.check().then(
        () => true,
        () => false,
      );
      this.set(up ? 1 : 0);
    },
  });
  const commands = new Histogram({
    name: 'ticket_broker_redis_command_duration_seconds',
    help: 'Time until Redis had answered, or was given up; reads that wait for the feed are left out.',
    labelNames: ['command'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers,
  });
  const lost = new Counter({
    name: 'ticket_broker_audit_lost_total',
    help: 'Lines that could not be written to AUDIT_LOG.',
    registers,
  });
  const startOfProcess = processMetrics(registry);

  return {
    decided,
    socketOpened: () => open.inc(),
    socketClosed(code) {
      open.dec();
      // A peer may close with any code of the private range.
      closes.inc({ code: code >= 3000 && ![3000, 3003, 3008].includes(code) ? 'other' : String(code) });
    },
    commandTook: (command, seconds) => commands.observe({ command }, seconds),
    auditLost: (lines) => lost.inc(lines),
    watch(opened) {
      store = opened.store;
      feed.follow(opened.feed);
    },
    text() {
      startOfProcess();
      return registry.metrics();
    },
    contentType: registry.contentType,
    registry,
  };
}
