import { setTimeout as sleep } from 'node:timers/promises';
import type { ListedSession } from '../sessions/registry.ts';
import type { Inspection } from '../store/inspection.ts';
import type { Door } from './door.ts';
import { knock } from './knock.ts';
import { type Credential, type ProbeTicket, ticketFromRedis } from './probe-ticket.ts';

export interface VisitOptions {
  door: Door;
  /** Of the WebSocket. */
  path: string;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export interface ListingOptions {
  door: Door;
  redis: Inspection | undefined;
  credential: Credential | undefined;
}

/** Sockets that are opened besides the first one. */
const visits = 3;

/** More sockets, each of somebody else, to meet other nodes. */
export async function moreVisits(
  { door, path, now }: VisitOptions,
  redis: Inspection,
): Promise<ListedSession[]> {
  const met = await Promise.all(
    Array.from({ length: visits }, async () => {
      const probe = await ticketFromRedis(redis, now);
      using knocked = await knock(door, { path, ticket: probe.ticket });
      if (knocked.outcome !== 'admitted') return undefined;
      return await listing({ door, redis, credential: undefined }, probe, knocked.session);
    }),
  );
  return met.filter((session) => session !== undefined);
}

/** The session as the node that holds it has listed it: it does so a moment after the welcome. */
export async function listing(
  { door, redis, credential }: ListingOptions,
  { sub }: ProbeTicket,
  session: string | undefined,
): Promise<ListedSession | undefined> {
  const inRedis = async () => {
    if (session !== undefined) return redis?.registry.find(session);
    return sub === undefined ? undefined : (await redis?.registry.ofSubject(sub))?.[0];
  };
  const atDoor = async () => {
    if (credential?.kind !== 'key' || sub === undefined) return undefined;
    const { authorization } = credential;
    const { json } = await door.ask(`/sessions?sub=${sub}`, { headers: { authorization } });
    return (json['sessions'] as ListedSession[] | undefined)?.[0];
  };
  for (let tries = 0; tries < 10; tries++) {
    const found = (await inRedis()) ?? (await atDoor());
    if (found) return found;
    await sleep(100);
  }
  return undefined;
}
