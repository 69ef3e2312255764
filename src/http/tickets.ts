import { countedAs } from '../address.ts';
import type { Caller } from '../credentials/caller.ts';
import { type Decide, type Facts, tellWhereabouts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Revoker, Store } from '../store/store.ts';
import { allowedRooms, narrowed } from '../tickets/allowed-rooms.ts';
import { mint } from '../tickets/mint.ts';
import { isTicket, ticketId } from '../tickets/ticket.ts';
import type { Authenticate } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import { limitedRefusalsOf, refusalsOf } from './refusal-schemas.ts';
import { Empty, MintAnswer, MintRequest, NoContent, RevokeTicketRequest, TicketPath } from './schemas.ts';
import type { SocketUrl } from './socket-url.ts';
import { type TicketRequestOptions, ticketRequestReader } from './ticket-request.ts';
import type { App } from './type-provider.ts';

export interface TicketRoutesOptions extends TicketRequestOptions {
  authenticate: Authenticate;
  /** For a mint, which may be asked for by cookie, too. */
  authenticateMint: Authenticate;
  decide: Decide;
  store: Store;
  randomBytes: RandomBytes;
  /** Tickets per address, and per subject, a window. */
  mintLimit: number;
  socketUrl: SocketUrl;
}

/** `/tickets`: minted by whoever may, taken back by whoever owns, minted or holds them. */
export function ticketRoutes(app: App, options: TicketRoutesOptions): void {
  const { authenticate, authenticateMint, decide, store, randomBytes, mintLimit, socketUrl } = options;
  const readRequest = ticketRequestReader(options);
  const perAddress = limit(app, 'mint_address', mintLimit);
  const perSubject = limit(app, 'mint_subject', mintLimit);

  app.post(
    '/tickets',
    {
      schema: {
        operationId: 'mintTicket',
        summary: 'Mint a ticket',
        description:
          'For the user of the token, or, with a service key of scope `tickets:mint`, for the `sub` named. A user gets no room beyond those of the `rooms` claim of the token, or, without that claim, of the set that is kept for the user in Redis: 403 `room_forbidden` names the first one that is not among them. Of all calls, this is the only one that takes a cookie for a credential, and only from pages of an allowed origin. No body is as good as `{}`.',
        tags: ['tickets'],
        security: [{ token: [] }, { serviceKey: [] }, { cookie: [] }],
        body: MintRequest,
        response: {
          201: MintAnswer,
          ...limitedRefusalsOf(
            'invalid_token',
            'token_revoked',
            'insufficient_scope',
            'origin_forbidden',
            'room_forbidden',
            'payload_too_large',
            'unsupported_media_type',
            'store_unavailable',
            'idp_unavailable',
          ),
        },
      },
      preValidation: async (request) => {
        if (request.body === undefined) request.body = {};
      },
    },
    async (request, reply) => {
      const address = clientAddress(request);
      return decide(request.log, { decision: 'mint', ip: address }, async (facts) => {
        const caller = await authenticateMint(request);
        Object.assign(facts, nameOf(caller));
        const { record, ttl } = readRequest(caller, request.body);
        const url = socketUrl(request);
        facts.sub = record.sub;
        if (record.username !== record.sub) facts.username = record.username;
        tellWhereabouts(facts, { aud: record.aud });
        const [allowed] = await Promise.all([
          // A backend decides itself where its users may go, and mints for all of them from one address.
          caller.kind === 'user' ? allowedRooms(store, caller, record.rooms) : ('any' as const),
          caller.kind === 'user' && perAddress(request, reply, countedAs(address)),
          perSubject(request, reply, record.sub),
        ]);
        const minted = await mint({ store, randomBytes }, narrowed(record, allowed), ttl);
        facts.ticket_id = minted.ticket_id;
        return reply.code(201).send({
          ticket: minted.ticket,
          ticket_id: minted.ticket_id,
          expires_in: Math.floor(minted.ttlMs / 1000),
          url: withTicket(url, minted.ticket),
        });
      });
    },
  );

  app.delete(
    '/tickets/:ticket_id',
    {
      schema: {
        operationId: 'deleteTicket',
        summary: 'Take back a ticket by its id',
        description:
          "By the user it is for, the service key that minted it, or one of scope `revoke`. 204 too when it is unknown or spent; 404 when it is another's.",
        tags: ['tickets'],
        security: [{ token: [] }, { serviceKey: [] }],
        params: TicketPath,
        response: {
          204: NoContent,
          ...refusalsOf(
            'invalid_token',
            'token_revoked',
            'not_found',
            'payload_too_large',
            'unsupported_media_type',
            'store_unavailable',
            'idp_unavailable',
          ),
        },
      },
    },
    async (request, reply) => {
      const { ticket_id } = request.params;
      const ip = clientAddress(request);
      const facts: Facts = { decision: 'revoke', ip, target: 'ticket_id', ticket_id };
      return decide(request.log, facts, async () => {
        const caller = await authenticate(request);
        Object.assign(facts, { by: caller.kind }, nameOf(caller));
        const { outcome } = await store.revoke(ticket_id, revokerOf(caller));
        if (outcome === 'forbidden') throw new BrokerError('not_found', { reason: outcome });
        facts.reason = outcome;
        return reply.code(204).send(null);
      });
    },
  );

  app.post(
    '/tickets/revoke',
    {
      schema: {
        operationId: 'revokeTicket',
        summary: 'Take back a ticket by holding it (RFC 7009)',
        description: 'The ticket is the credential. 200 whatever became of it.',
        tags: ['tickets'],
        body: RevokeTicketRequest,
        response: {
          200: Empty,
          ...refusalsOf('payload_too_large', 'unsupported_media_type', 'store_unavailable'),
        },
      },
    },
    async (request) => {
      const { ticket } = request.body;
      if (!isTicket(ticket)) return {};
      const ip = clientAddress(request);
      const ticket_id = ticketId(ticket);
      const facts: Facts = { decision: 'revoke', ip, by: 'holder', target: 'ticket_id', ticket_id };
      return decide(request.log, facts, async () => {
        facts.reason = (await store.revoke(ticket_id, 'holder')).outcome;
        return {};
      });
    },
  );
}

function withTicket(socketUrl: string, ticket: string): string {
  return `${socketUrl}${socketUrl.includes('?') ? '&' : '?'}ticket=${ticket}`;
}

function nameOf(caller: Caller): { sub: string } | { key: string } {
  return caller.kind === 'user' ? { sub: caller.sub } : { key: caller.name };
}

function revokerOf(caller: Caller): Revoker {
  if (caller.kind === 'user') return { sub: caller.sub };
  return caller.scopes.has('revoke') ? 'holder' : { key: caller.name };
}
