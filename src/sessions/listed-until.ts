import type { Logger } from 'pino';
import type { Session } from '../tickets/session.ts';
import type { Registry } from './registry.ts';
import { timetable } from './timetable.ts';

/** Lists a session whose socket somebody else holds. */
export type ListSession = (session: Session, peer: { ip: string; via: 'redeem' | 'verify' }) => void;

export interface ListedUntilOptions {
  registry: Registry;
  /** The name of this process in the registry. */
  node: string;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Pick<Logger, 'warn'>;
}

/** Sessions that were let in on another node's behalf: nobody tells us when they close, so they are listed until they end. */
export function listedUntilTheEnd({ registry, node, now, log }: ListedUntilOptions): ListSession {
  const ends = timetable(now);
  return ({ session_id, record, exp, deadline }, { ip, via }) => {
    const { sub, username, auth_time } = record;
    const listed = { session_id, sub, username, node, ip, since: now() / 1000, exp, auth_time, via };
    // What could not be listed now is listed with the node's next lease.
    registry.add(listed).catch((err) => log.warn({ err }, 'a session is not listed yet'));
    ends.enter(deadline, () => void registry.remove(listed).catch(() => {}));
  };
}
