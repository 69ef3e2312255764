import type { Session } from '../tickets/session.ts';
import type { Peer } from './live-sessions.ts';

/**
 * Spends a fresh ticket of the same subject, so that an open session may go on.
 *
 * @returns what the ticket stands for; the session keeps its id
 * @throws BrokerError as the gate does; `binding_mismatch` with the reason `anotherSubject`, the ticket being spent
 */
export type Refresh = (ticket: string, peer: Peer, open: Session) => Promise<Session>;

export const anotherSubject = 'another_subject';
