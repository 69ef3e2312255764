import { randomUUID } from 'node:crypto';
import type { Static } from 'typebox';
import { BrokerError } from '../errors.ts';
import type { RedeemAnswer } from '../http/schemas.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Present, Presented } from '../tickets/present.ts';
import type { TicketSession } from '../tickets/session.ts';
import { ticketId } from '../tickets/ticket.ts';
import type { GateLog } from './backing.ts';

export interface BrokerPresentOptions {
  url: URL;
  serviceKey: string;
  feed: Pick<Feed, 'current' | 'find'>;
  /** Milliseconds since the epoch. */
  now: () => number;
  fetch: typeof fetch;
  log: GateLog;
}

/** Milliseconds that one question may take; it is asked twice at most, within the ten seconds in which the answer is the same. */
const timeoutMs = 2000;

/** Spends tickets by `POST /tickets/redeem`. */
export function brokerPresent(options: BrokerPresentOptions): Present {
  const { url, serviceKey, feed, now, fetch, log } = options;

  const ask = async (ticket: string, { address, origin, room, aud }: Presented) => {
    const ip = address === 'unknown' ? undefined : address;
    const question = { ticket, aud, origin, ip, room, redemption_id: randomUUID() };
    const call = () =>
      fetch(new URL('/tickets/redeem', url), {
        method: 'POST',
        headers: { authorization: `Bearer ${serviceKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(question),
        // The ticket is in it.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      });
    try {
      // A lost answer may have spent the ticket: the same question again is answered alike.
      const response = await call().catch(call);
      return { response, body: (await response.json()) as Record<string, unknown> };
    } catch {
      throw new BrokerError('store_unavailable', { reason: 'broker unreachable' });
    }
  };

  return async (ticket, presented) => {
    if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
    const ticket_id = ticketId(ticket);
    const { response, body } = await ask(ticket, presented);
    if (!response.ok) throw refusalIn(response, body['error'], { ticket_id }, log);
    const session = sessionIn(body as Static<typeof RedeemAnswer>, ticket_id, presented.aud, now());
    if (!session) throw new BrokerError('invalid_ticket', { facts: { ticket_id } });
    const { session_id, record } = session;
    if (feed.find({ sub: record.sub, auth_time: record.auth_time, session_id, ticket_id })) {
      throw new BrokerError('invalid_ticket', { reason: 'revoked', facts: { sub: record.sub, ticket_id } });
    }
    return session;
  };
}

function sessionIn(
  answer: Static<typeof RedeemAnswer>,
  ticket_id: string,
  aud: string | undefined,
  now: number,
): TicketSession | undefined {
  const { active, sub, username, rooms, context, session_id, exp, auth_time } = answer;
  if (!active) return undefined;
  if (sub === undefined || session_id === undefined || exp === undefined || auth_time === undefined) {
    throw new BrokerError('store_unavailable', { reason: 'broker answers without a session' });
  }
  const record = {
    sub,
    username: username ?? sub,
    ...(rooms && { rooms }),
    ...(context !== undefined && { context: context as never }),
    ...(aud !== undefined && { aud }),
    auth_time,
    session_ttl: exp - now / 1000,
  };
  return { session_id, ticket_id, record, deadline: exp * 1000, exp };
}

/** What the broker refuses the client is passed on; what it refuses this node is not the client's fault. */
function refusalIn(
  { status, headers }: Response,
  error: unknown,
  facts: Record<string, string>,
  log: GateLog,
): BrokerError {
  const retryAfter = Number(headers.get('retry-after')) || 1;
  if (error === 'binding_mismatch' || error === 'room_forbidden') return new BrokerError(error, { facts });
  if (status === 400) return new BrokerError('invalid_request', { reason: 'broker: 400', facts });
  if (error === 'rate_limited') return new BrokerError(error, { retryAfter, facts });
  if (status < 500) log.error({ status, error }, 'the broker refuses this node: is its service key right?');
  return new BrokerError('store_unavailable', {
    reason: `broker: ${status}`,
    retryAfter,
    facts,
  });
}
