import type { Logger } from 'pino';
import type { Feed } from '../revocations/feed.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Present } from '../tickets/present.ts';

/** What a gate asks about tickets, and hears of revocations from. */
export interface Backing {
  present: Present;
  feed: Pick<Feed, 'current' | 'find' | 'follow'>;
  registry: Pick<Registry, 'add' | 'remove' | 'ofSubject'>;
  /** The name of this process in the registry. */
  node: string;
  close(): Promise<void>;
}

/** Any logger with pino's methods: that of Fastify, too. */
export type GateLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/**
 * Milliseconds for which revocations are remembered: longer than any session or ticket can last, whatever the broker's settings
 * are.
 */
export const retention = 21 * 86_400_000;
