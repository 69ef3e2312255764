import { randomBytes } from 'node:crypto';
import type { Inspection } from '../store/inspection.ts';
import { mint } from '../tickets/mint.ts';
import type { Door } from './door.ts';

/** What the operator has given us to ask with. */
export interface Credential {
  kind: 'key' | 'token';
  authorization: string;
}

export interface ProbeTicket {
  ticket: string;
  /** Somebody who does not exist, alone in having this name; undefined: the user of a token. */
  sub: string | undefined;
  /** Where it was made: at the door, as anybody does it, or in Redis itself. */
  from: 'door' | 'redis';
  /** What the door calls its WebSocket. */
  url?: string;
}

/** Seconds. */
const ttl = 10;
const newSub = () => `ticket-broker-doctor-${randomBytes(6).toString('hex')}`;

/**
 * A ticket for no room, so that nobody notices who comes with it.
 *
 * @returns a text where the door refuses: its status and code
 * @throws Unreachable
 */
export async function ticketFromDoor(door: Door, credential: Credential): Promise<ProbeTicket | string> {
  const sub = credential.kind === 'key' ? newSub() : undefined;
  const { status, json } = await door.ask('/tickets', {
    method: 'POST',
    headers: { authorization: credential.authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ rooms: [], ttl, ...(sub !== undefined && { sub }) }),
  });
  const { ticket, url, error } = json as Record<string, string>;
  if (status !== 201 || ticket === undefined) return `${status} ${error ?? ''}`.trim();
  return { ticket, sub, from: 'door', ...(url !== undefined && { url }) };
}

/** @throws BrokerError `store_unavailable` */
export async function ticketFromRedis({ store }: Inspection, now: () => number): Promise<ProbeTicket> {
  const sub = newSub();
  const record = { sub, username: 'doctor', rooms: [], auth_time: now() / 1000, session_ttl: 60 };
  const { ticket } = await mint({ store, randomBytes }, record, ttl);
  return { ticket, sub, from: 'redis' };
}
