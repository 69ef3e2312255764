import type { Door } from '../door.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';
import type { Knocked } from '../knock.ts';
import type { ProbeTicket } from '../probe-ticket.ts';

/** What became of a ticket that was presented again. */
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

/** Why a fresh ticket may have opened nothing. */
export function judgeRefusal(
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
export function judgeUrl(door: Door, { url }: ProbeTicket): Finding[] {
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
