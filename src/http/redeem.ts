import type { Static } from 'typebox';
import { type BindIp, canonicalAddress } from '../address.ts';
import { requireScope, requireService } from '../credentials/caller.ts';
import { type Decide, type Facts, tellSession, tellWhereabouts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import type { ListSession } from '../sessions/listed-until.ts';
import type { Present } from '../tickets/present.ts';
import type { Session } from '../tickets/session.ts';
import { isTicket } from '../tickets/ticket.ts';
import type { Authenticate } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
import { refusalsOf } from './refusal-schemas.ts';
import { RedeemAnswer, RedeemRequest } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface RedeemRouteOptions {
  authenticate: Authenticate;
  decide: Decide;
  present: Present;
  list: ListSession;
  bindIp: BindIp;
}

/** Milliseconds for which the same key hears the same answer to the same `redemption_id`. */
const repeatWithinMs = 10_000;

/** `POST /tickets/redeem`: for nodes that hold their sockets themselves and would rather ask than know Redis. */
export function redeemRoute(app: App, options: RedeemRouteOptions): void {
  const { authenticate, decide, present, list, bindIp } = options;
  app.post(
    '/tickets/redeem',
    {
      schema: {
        operationId: 'redeemTicket',
        summary: 'Spend a ticket, and be told what it stands for',
        description:
          'As RFC 7662, but it consumes. `{active: false}` for a ticket that is unknown, used, expired or revoked; 403 leaves one that does not fit unspent. The attempts of `ip` are limited, as those at the gate. Asked again by the same key with the same `redemption_id` within 10 s: the same answer. Follow the feed, or the session outlives its revocation.',
        tags: ['tickets'],
        security: [{ serviceKey: [] }],
        body: RedeemRequest,
        response: {
          200: RedeemAnswer,
          ...refusalsOf(
            'invalid_token',
            'insufficient_scope',
            'binding_mismatch',
            'room_forbidden',
            'payload_too_large',
            'unsupported_media_type',
            'rate_limited',
            'store_unavailable',
          ),
        },
      },
    },
    async (request) => {
      const { ticket, ip, aud, origin, room, redemption_id } = request.body;
      const facts: Facts = { decision: 'redeem', ip: clientAddress(request), via: 'redeem' };
      const decided = decide(request.log, facts, async () => {
        const caller = await authenticate(request);
        requireService(caller);
        facts.key = caller.name;
        requireScope(caller, 'tickets:redeem');
        tellWhereabouts(facts, { origin, aud, room });
        // From here on it is about the client; the node that asks is the key.
        facts.ip = 'unknown';
        const address = ip === undefined ? undefined : addressIn(ip);
        if (address !== undefined) facts.ip = address;
        if (!isTicket(ticket)) throw new BrokerError('invalid_ticket', { reason: 'malformed' });
        const asker = `redeem:${caller.name}:${redemption_id}`;
        const repeat = redemption_id === undefined ? {} : { repeat: { asker, withinMs: repeatWithinMs } };
        const session = await present(ticket, { address, aud, origin, room, ...repeat });
        tellSession(facts, session, bindIp);
        list(session, { ip: facts.ip, via: 'redeem' });
        return answerOf(session);
      });
      // A bad ticket is an answer here; 401 would speak of the service key.
      return decided.catch((error: unknown) => {
        if (error instanceof BrokerError && error.code === 'invalid_ticket') return { active: false };
        throw error;
      });
    },
  );
}

function answerOf({ session_id, exp, record }: Session): Static<typeof RedeemAnswer> {
  const { sub, username, rooms, context, auth_time } = record;
  return {
    active: true,
    sub,
    username,
    ...(rooms && { rooms: [...rooms] }),
    ...(context !== undefined && { context }),
    session_id,
    exp,
    auth_time,
  };
}

function addressIn(text: string): string {
  const address = canonicalAddress(text);
  if (address !== undefined) return address;
  throw new BrokerError('invalid_request', { description: 'ip is not an IP address' });
}
