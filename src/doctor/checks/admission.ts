import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { canonicalAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import type { ListedSession } from '../../sessions/registry.ts';
import type { Inspection } from '../../store/inspection.ts';
import type { ClockSample } from '../clocks.ts';
import { type Door, hostOf } from '../door.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';
import { type Knocked, knock } from '../knock.ts';
import { type Credential, type ProbeTicket, ticketFromDoor, ticketFromRedis } from '../probe-ticket.ts';
import { isPublicHost } from '../public-host.ts';
import { judgeAddress } from './client-address.ts';

export interface AdmissionOptions {
  door: Door;
  /** Of the WebSocket. */
  path: string;
  redis: Inspection | undefined;
  credential: Credential | undefined;
  config: Config | undefined;
  now: () => number;
}

export interface Admission {
  findings: Finding[];
  clocks: ClockSample[];
}

/** Sockets that are opened to meet several nodes. */
const visits = 4;

/** A ticket's whole way, from outside: it opens a socket, once, and the node that lets it in knows from where. */
export async function checkAdmission(options: AdmissionOptions): Promise<Admission> {
  const { door, path, redis, config } = options;
  const unseen = (why: string) => ['admission', 'replay', 'client-address'].map((id) => skipped(id, why));
  const { ticket: probe, findings } = await firstTicket(options);
  if (!probe) {
    return {
      findings: [...findings, ...unseen('There is no ticket to try: give a key or a token, or REDIS_URL.')],
      clocks: [],
    };
  }

  const spoofed = canonicalAddress(`2001:db8:${hex()}:${hex()}::1`) ?? '';
  const headers = { 'x-forwarded-for': spoofed };
  const began = await redis?.time();
  const first = await knock(door, { path, ticket: probe.ticket, headers });
  if (first.outcome !== 'admitted') {
    const [, ...others] = unseen('No socket could be opened.');
    return { findings: [...findings, judgeRefusal(first, probe, path), ...others], clocks: [] };
  }
  const second = await knock(door, { path, ticket: probe.ticket });
  const listed = await listing(options, probe, first.session);
  const others = redis ? await moreVisits(options, redis) : [];
  const ended = await redis?.time();
  for (const socket of [first, second]) if (socket.outcome === 'admitted') socket.close();

  const address = listed
    ? judgeAddress({
        seen: listed.ip,
        spoofed,
        own: first.from,
        entrance: door.addresses.flatMap((one) => canonicalAddress(one) ?? []),
        isPublic: isPublicHost(hostOf(door.url)),
        trusted: config?.trustedProxies,
      })
    : skipped(
        'client-address',
        'The session is not listed where we may look: needs REDIS_URL, or a key with sessions:read.',
      );
  const clocks =
    began === undefined || ended === undefined
      ? []
      : [...(listed ? [listed] : []), ...others].map(
          ({ node, since }): ClockSample => ({
            of: `node ${node}`,
            said: since * 1000,
            coarseness: 1,
            between: [began, ended],
          }),
        );
  return {
    findings: [
      ...findings,
      ok('admission', 'A fresh ticket opens a socket.'),
      ...judgeUrl(door, probe),
      judgeReplay(second),
      address,
    ],
    clocks,
  };
}

const hex = () => (1 + (randomBytes(2).readUInt16BE() % 0xffff)).toString(16);

/** As anybody gets one, where we have a credential; else from Redis. */
async function firstTicket({ door, credential, redis, now }: AdmissionOptions) {
  const findings: Finding[] = [];
  if (credential) {
    const given = await ticketFromDoor(door, credential);
    if (typeof given !== 'string') {
      return { ticket: given, findings: [ok('mint', 'A ticket is minted for a credential.')] };
    }
    findings.push(
      given.startsWith('403')
        ? skipped('mint', `The credential mints no tickets (${given}).`)
        : fault(
            'mint',
            `No ticket is minted for the credential: ${given}.`,
            'See whether it is one of this deployment, and has not ended or been revoked.',
          ),
    );
  }
  return { ticket: redis && (await ticketFromRedis(redis, now)), findings };
}

/** More sockets, each of somebody else, to meet other nodes. */
async function moreVisits(options: AdmissionOptions, redis: Inspection): Promise<ListedSession[]> {
  const { door, path, now } = options;
  const met = await Promise.all(
    Array.from({ length: visits - 1 }, async () => {
      const probe = await ticketFromRedis(redis, now);
      const knocked = await knock(door, { path, ticket: probe.ticket });
      if (knocked.outcome !== 'admitted') return undefined;
      const session = await listing({ ...options, credential: undefined }, probe, knocked.session);
      knocked.close();
      return session;
    }),
  );
  return met.filter((session) => session !== undefined);
}

/** The session as the node that holds it has listed it: it does so a moment after the welcome. */
async function listing(
  { door, redis, credential }: AdmissionOptions,
  { sub }: ProbeTicket,
  session: string | undefined,
): Promise<ListedSession | undefined> {
  const look = async () => {
    if (redis && session !== undefined) return redis.registry.find(session);
    if (redis && sub !== undefined) return (await redis.registry.ofSubject(sub))[0];
    if (credential?.kind !== 'key' || sub === undefined) return undefined;
    const { authorization } = credential;
    const { json } = await door.ask(`/sessions?sub=${sub}`, { headers: { authorization } });
    return (json['sessions'] as ListedSession[] | undefined)?.[0];
  };
  for (let tries = 0; tries < 10; tries++) {
    const found = await look();
    if (found) return found;
    await sleep(100);
  }
  return undefined;
}

/** Exported for its tests: no broker lets a ticket in twice. */
export function judgeReplay(second: Knocked): Finding {
  const id = 'replay';
  if (second.outcome === 'admitted') {
    return fault(
      id,
      'A used ticket has opened a second socket.',
      'Take it out of service: what answers there is no broker, or something in between asks it twice and hands both answers on.',
    );
  }
  if (second.outcome === 'unanswered')
    return skipped(id, `A used ticket was not answered: ${second.reason}.`);
  if ([401, 1008].includes(second.status)) return ok(id, 'A used ticket is refused.');
  return skipped(id, `A used ticket was not judged: ${second.status} ${second.code}.`);
}

function judgeRefusal(
  refused: Exclude<Knocked, { outcome: 'admitted' }>,
  { from }: ProbeTicket,
  path: string,
): Finding {
  const id = 'admission';
  if (refused.outcome === 'unanswered') {
    return fault(
      id,
      `A handshake at ${path} is not answered: ${refused.reason}.`,
      'See the log of the proxy.',
    );
  }
  const { status, code } = refused;
  const what = `${status} ${code}`.trim();
  if (code === 'invalid_ticket') {
    return fault(
      id,
      `A fresh ticket is refused: ${what}.`,
      from === 'redis'
        ? 'See that nodes and this environment have the same REDIS_URL, database and KEY_PREFIX.'
        : 'See that all nodes have the same REDIS_URL, database and KEY_PREFIX, and their log for the reason.',
    );
  }
  if (code === 'rate_limited' || status === 429) {
    return skipped(id, 'This address has used up its attempts: try again in a minute.');
  }
  if (status === 503 || status === 1013) {
    return fault(
      id,
      `Nobody is let in: ${what}.`,
      'See what is said of Redis here, and the log of the nodes.',
    );
  }
  return fault(
    id,
    `No WebSocket opens at ${path}: ${what}.`,
    'Let the proxy pass Upgrade and Connection on to a node of the tier ws; where the path is another, name it: --path.',
  );
}

/** Pages on https:// may not open ws://. */
function judgeUrl(door: Door, { url }: ProbeTicket): Finding[] {
  if (url === undefined || door.url.protocol === 'http:') return [];
  if (url.startsWith('wss:')) return [ok('ticket-url', 'Tickets come with a wss:// URL.')];
  return [
    warning(
      'ticket-url',
      'Tickets come with a ws:// URL, which no page on https:// may open.',
      'Set PUBLIC_WS_URL, or let the proxy send X-Forwarded-Proto and TRUST_PROXY name it.',
    ),
  ];
}
