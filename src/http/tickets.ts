import type { Static } from 'typebox';
import { type BindIp, boundTo, canonicalAddress, countedAs } from '../address.ts';
import { type Caller, requireScope, type Service, type User } from '../credentials/caller.ts';
import type { Decide, Facts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import type { Revoker, Store } from '../store/store.ts';
import { mint } from '../tickets/mint.ts';
import type { Json, TicketRecord } from '../tickets/record.ts';
import { isTicket, type RandomBytes, ticketId } from '../tickets/ticket.ts';
import type { Authenticate } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import {
  Empty,
  MintAnswer,
  MintRequest,
  NoContent,
  RevokeTicketRequest,
  refusalsOf,
  TicketPath,
} from './schemas.ts';
import type { App } from './type-provider.ts';

export interface TicketRoutesOptions {
  authenticate: Authenticate;
  decide: Decide;
  store: Store;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomBytes: RandomBytes;
  /** Seconds. */
  ticketTtl: number;
  ticketTtlMax: number;
  sessionTtl: number;
  mintLimit: number;
  bindIp: BindIp;
  /** The WebSocket's URL, where it is not the host that the request came to. */
  publicWsUrl: string | undefined;
  wsPath: string;
}

const contextLimit = 2048;

/** `/tickets`: minted by whoever may, taken back by whoever owns, minted or holds them. */
export function ticketRoutes(app: App, options: TicketRoutesOptions): void {
  const {
    authenticate,
    decide,
    store,
    now,
    randomBytes,
    ticketTtl,
    ticketTtlMax,
    sessionTtl,
    mintLimit,
    bindIp,
  } = options;
  const perAddress = limit(app, 'mint_address', mintLimit);
  const perSubject = limit(app, 'mint_subject', mintLimit);

  app.post(
    '/tickets',
    {
      schema: {
        operationId: 'mintTicket',
        summary: 'Mint a ticket',
        description:
          'For the user of the token, or, with a service key of scope `tickets:mint`, for the `sub` named. No body is as good as `{}`.',
        tags: ['tickets'],
        security: [{ token: [] }, { serviceKey: [] }],
        body: MintRequest,
        response: {
          201: MintAnswer,
          ...refusalsOf(
            'invalid_token',
            'token_revoked',
            'insufficient_scope',
            'room_forbidden',
            'payload_too_large',
            'unsupported_media_type',
            'rate_limited',
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
        const caller = await authenticate(request);
        Object.assign(facts, nameOf(caller));
        const record = recordFor(caller, request.body);
        facts.sub = record.sub;
        await Promise.all([
          // A backend mints for all its users from one address.
          caller.kind === 'user' && perAddress(request, reply, countedAs(address)),
          perSubject(request, reply, record.sub),
        ]);
        const minted = await mint({ store, randomBytes }, record, ttlOf(request.body));
        facts.ticket_id = minted.ticket_id;
        return reply.code(201).send({
          ticket: minted.ticket,
          ticket_id: minted.ticket_id,
          expires_in: Math.floor(minted.ttlMs / 1000),
          url: urlFor(minted.ticket, request),
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
            'store_unavailable',
            'idp_unavailable',
          ),
        },
      },
    },
    async (request, reply) => {
      const { ticket_id } = request.params;
      const facts: Facts = { decision: 'revoke', ip: clientAddress(request), ticket_id };
      return decide(request.log, facts, async () => {
        const caller = await authenticate(request);
        Object.assign(facts, nameOf(caller));
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
      const facts: Facts = { decision: 'revoke', ip: clientAddress(request), ticket_id: ticketId(ticket) };
      return decide(request.log, facts, async () => {
        facts.reason = (await store.revoke(ticketId(ticket), 'holder')).outcome;
        return {};
      });
    },
  );

  function recordFor(caller: Caller, body: Static<typeof MintRequest>): TicketRecord {
    const { context, aud, bind } = body;
    if (context !== undefined && Buffer.byteLength(JSON.stringify(context)) > contextLimit) {
      throw invalid(`context is more than ${contextLimit} bytes of JSON`);
    }
    const rooms = caller.kind === 'user' ? narrowed(caller.rooms, body.rooms) : body.rooms;
    return {
      ...(caller.kind === 'user' ? ofUser(caller, body) : ofService(caller, body)),
      ...(rooms && { rooms }),
      ...(context !== undefined && { context: context as Json }),
      ...(aud && { aud }),
      ...(bind?.origin && { origin: bind.origin }),
      ...(bind?.ip && { ip: boundAddress(bind.ip) }),
    };
  }

  function ofUser(user: User, { sub, username }: Static<typeof MintRequest>) {
    if (sub !== undefined) throw invalid('sub is who the token says: only a service key names another');
    if (username !== undefined)
      throw invalid('username is what the token says: only a service key names another');
    return {
      sub: user.sub,
      username: user.username,
      auth_time: user.auth_time,
      session_ttl: Math.min(sessionTtl, user.exp - now() / 1000),
    };
  }

  function ofService(service: Service, { sub, username = sub }: Static<typeof MintRequest>) {
    requireScope(service, 'tickets:mint');
    if (sub === undefined || username === undefined) throw invalid('sub is required with a service key');
    return { sub, username, minted_by: service.name, auth_time: now() / 1000, session_ttl: sessionTtl };
  }

  function boundAddress(text: string): string {
    const address = canonicalAddress(text);
    if (address === undefined) throw invalid('bind.ip is not an IP address');
    if (bindIp === 'off') throw invalid('bind.ip is switched off on this server (BIND_IP)');
    return boundTo(address, bindIp);
  }

  function ttlOf({ ttl = ticketTtl }: Static<typeof MintRequest>): number {
    if (ttl > ticketTtlMax) throw invalid(`ttl is more than ${ticketTtlMax} seconds`);
    return ttl;
  }

  function urlFor(ticket: string, request: { protocol: string; host: string }): string {
    const scheme = request.protocol === 'https' ? 'wss' : 'ws';
    const url = new URL(options.publicWsUrl ?? `${scheme}://${request.host}${options.wsPath}`);
    url.searchParams.set('ticket', ticket);
    return url.href;
  }
}

/** The rooms a ticket may name are those its token allows, or fewer. */
function narrowed(allowed: readonly string[] | undefined, asked: readonly string[] | undefined) {
  if (!allowed || !asked) return asked ?? allowed;
  const forbidden = asked.find((room) => !allowed.includes(room));
  if (forbidden === undefined) return asked;
  throw new BrokerError('room_forbidden', { description: `The token does not allow the room ${forbidden}.` });
}

function nameOf(caller: Caller): { sub: string } | { key: string } {
  return caller.kind === 'user' ? { sub: caller.sub } : { key: caller.name };
}

function revokerOf(caller: Caller): Revoker {
  if (caller.kind === 'user') return { sub: caller.sub };
  return caller.scopes.has('revoke') ? 'holder' : { key: caller.name };
}

function invalid(description: string): BrokerError {
  return new BrokerError('invalid_request', { description });
}
