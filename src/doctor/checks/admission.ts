import { randomBytes } from 'node:crypto';
import { canonicalAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import type { Inspection } from '../../store/inspection.ts';
import type { ClockSample } from '../clocks.ts';
import { type Door, hostOf } from '../door.ts';
import { type Finding, fault, ok, skipped } from '../finding.ts';
import { knock } from '../knock.ts';
import { type Credential, ticketFromDoor, ticketFromRedis } from '../probe-ticket.ts';
import { isPublicHost } from '../public-host.ts';
import { listing, moreVisits } from '../visits.ts';
import { judgeRefusal, judgeReplay, judgeUrl } from './admission-verdicts.ts';
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
  const headers = {
    'x-forwarded-for': spoofed,
    'x-real-ip': spoofed,
    forwarded: `for="[${spoofed}]"`,
  };
  const began = await redis?.time();
  using first = await knock(door, { path, ticket: probe.ticket, headers });
  if (first.outcome !== 'admitted') {
    const [, ...others] = unseen('No socket could be opened.');
    return { findings: [...findings, judgeRefusal(first, probe, path), ...others], clocks: [] };
  }
  using second = await knock(door, { path, ticket: probe.ticket });
  const listed = await listing(options, probe, first.session);
  const others = redis ? await moreVisits(options, redis) : [];
  const ended = await redis?.time();

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
