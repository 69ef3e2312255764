import type { Logger } from 'pino';
import type { RedisConnection } from './connection.ts';
import { ofPrimary } from './of-primary.ts';

export interface SamePrimaryOptions {
  follower: RedisConnection;
  publisher: RedisConnection;
  tickets: RedisConnection;
  /** Where a look leaves a sign of life. */
  pulseKey: string;
  /** The tenure of the primary that is followed at the moment. */
  followed: () => string | undefined;
  log: Pick<Logger, 'warn'>;
}

/** What a primary says of itself. */
export interface Look {
  tenure: string;
  /** Connected ones. */
  replicas: number;
  /** What time it is there: Unix milliseconds. */
  at: number;
}

export interface SamePrimary {
  /** @throws BrokerError `store_unavailable` */
  lookAt(connection: RedisConnection): Promise<Look>;
  /** Looks whether the other connections are on the primary that is followed, and connects all anew where they stay apart. Never rejects. */
  compare(): Promise<void>;
  /** Whether they were not, when they were compared last. */
  readonly apart: boolean;
}

/** Milliseconds without a sign of life after which what we know does not count as current. */
export const staleAfterMs = 3000;

/**
 * Holds the connections of the feed and of the tickets to one primary: where an address has moved to another while the old one
 * lives, each connection moves when it breaks. In Cluster, tickets are on all primaries.
 */
export function samePrimary({
  follower,
  publisher,
  tickets,
  pulseKey,
  followed,
  log,
}: SamePrimaryOptions): SamePrimary {
  let comparing = false;
  let apart = false;

  const lookAt = async (connection: RedisConnection): Promise<Look> => {
    const answer = await connection.run('pulse', pulseKey, staleAfterMs);
    const [, tenure = '', replicas, at] = ofPrimary<string>(connection, answer);
    return { tenure, replicas: Number(replicas), at: Number(at) };
  };

  return {
    lookAt,
    async compare() {
      if (comparing) return;
      comparing = true;
      const others = tickets.sharded ? [publisher] : [publisher, tickets];
      const looks = await Promise.all(others.map((other) => lookAt(other).catch(() => undefined)));
      comparing = false;
      const wereApart = apart;
      apart = looks.some((look) => look !== undefined && look.tenure !== followed());
      // Once may be a tenure that has ended between two looks.
      if (!apart || !wereApart) return;
      log.warn('tickets and revocations are on two primaries: connecting anew');
      for (const connection of [follower, publisher, tickets]) connection.relocate();
    },
    get apart() {
      return apart;
    },
  };
}
