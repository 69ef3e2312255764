import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { CredentialsFiles } from './credentials/files.ts';
import type { Facts } from './decisions.ts';
import { decisionCounters } from './metrics/decisions.ts';
import { type Followed, feedMetrics } from './metrics/feed.ts';
import { fileMetrics } from './metrics/files.ts';
import { processMetrics } from './metrics/process.ts';
import { storeMetrics, type WatchedStore } from './metrics/store.ts';
import { closeCodes } from './sessions/close-codes.ts';
import { version } from './version.ts';

/** Whose state is told with every scrape. */
export interface Watched extends WatchedStore {
  feed: Followed;
  files: CredentialsFiles;
  tiers: Iterable<'http' | 'ws'>;
}

/** What operators watch. No label takes a value that a client can choose, or one of which there are more with more users. */
export interface Metrics {
  decided(facts: Facts, granted: boolean, reason: string): void;
  socketOpened(): void;
  /** @param code RFC 6455 7.4 */
  socketClosed(code: number): void;
  /** @param command of a closed set: a script of ours, or a command that we name ourselves */
  commandTook(command: string, seconds: number): void;
  auditLost(lines: number): void;
  watch(watched: Watched): void;
  /** The Prometheus text format, and its content type. What Node tells of itself, it tells from the first call on. */
  text(): Promise<string>;
  readonly contentType: string;
  readonly registry: Registry;
}

const ours: ReadonlySet<number> = new Set(Object.values(closeCodes));

/** @param now milliseconds since the epoch */
export function createMetrics(now: () => number = Date.now): Metrics {
  const registry = new Registry();
  const registers = [registry];

  new Gauge({
    name: 'ticket_broker_build_info',
    help: 'Always 1; says which version runs on which Node.',
    labelNames: ['version', 'node_version'],
    registers,
  }).set({ version, node_version: process.versions.node }, 1);
  const tier = new Gauge({
    name: 'ticket_broker_tier',
    help: 'Always 1, for each tier that this process is of.',
    labelNames: ['tier'],
    registers,
  });
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
  const stores = storeMetrics(registers);
  const credentialsFiles = fileMetrics(registers);
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
      closes.inc({ code: code >= 3000 && !ours.has(code) ? 'other' : String(code) });
    },
    commandTook: (command, seconds) => commands.observe({ command }, seconds),
    auditLost: (lines) => lost.inc(lines),
    watch(watched) {
      for (const name of watched.tiers) tier.set({ tier: name }, 1);
      stores.watch(watched);
      feed.follow(watched.feed);
      credentialsFiles.watch(watched.files);
    },
    text() {
      startOfProcess();
      return registry.metrics();
    },
    contentType: registry.contentType,
    registry,
  };
}
