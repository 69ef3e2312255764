import { METHODS } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BindIp } from '../address.ts';
import type { Assert } from '../credentials/assertion.ts';
import { type Decide, type Facts, tellSession, tellWhereabouts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import { checkOrigin } from '../origin.ts';
import type { ListSession } from '../sessions/listed-until.ts';
import type { Present } from '../tickets/present.ts';
import { isRoom } from '../tickets/room.ts';
import { soleTicket } from '../tickets/sole-ticket.ts';
import { carriedSecrets } from '../wire/carried-secrets.ts';
import type { Visitor } from '../wire/forwarded.ts';
import { ticketsOffered } from '../wire/offered-tickets.ts';
import { type HeaderPreset, identityHeaderSchemas, identityHeaders } from './identity-headers.ts';
import { refusalsOf } from './refusal-schemas.ts';
import { VerifyQuery } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface VerifyOptions {
  decide: Decide;
  present: Present;
  list: ListSession;
  visitor: (request: FastifyRequest['raw']) => Visitor;
  allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** The service behind the proxy, where the proxy does not say which. */
  audience: string | undefined;
  /** The header in which the proxy tells the original URI; undefined: it is what comes after `/verify`. */
  uriHeader: string | undefined;
  /** A header that only the proxy sets: the same value again is the same question. */
  requestIdHeader: string | undefined;
  preset: HeaderPreset;
  bindIp: BindIp;
  /** Absent where tokens are signed with a shared secret. */
  assert: Assert | undefined;
}

/** Milliseconds in which a proxy may ask twice about one handshake. */
const repeatWithinMs = 5000;
/** Some proxies ask with that of the original request. Node hands a CONNECT to nobody here. */
const methods = METHODS.filter((method) => method !== 'GET' && method !== 'CONNECT');

/**
 * Forward auth: a proxy shows us the handshake before it passes it on, and spends its ticket thereby. Denials are 401 and 403
 * only, since nginx makes a 500 of any other, and there are no identity headers but on 200.
 */
export function verifyRoutes(app: App, options: VerifyOptions, registered: () => void): void {
  const { decide, present, list, visitor, allowedOrigins, audience, preset, assert, bindIp } = options;

  // A proxy may send the body of the original request along.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume();
    done(null);
  });

  /**
   * Whether the query is the proxy's own word. After `/verify/` comes what the client asked for, and without a header for that,
   * a proxy may append the client's query: its `aud` must not overrule `WS_AUDIENCE`.
   */
  const isProxysOwnQuery = ({ params }: FastifyRequest) =>
    (params as { '*'?: string })['*'] === undefined &&
    (options.uriHeader !== undefined || audience === undefined);

  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    const { address, host } = visitor(request.raw);
    const facts: Facts = { decision: 'redeem', ip: address, via: 'verify' };
    const aud = isProxysOwnQuery(request) ? (audienceIn(request) ?? audience) : audience;
    const session = await decide(request.log, facts, async () => {
      const { headers } = request;
      tellWhereabouts(facts, { origin: headers.origin, aud });
      checkOrigin(headers.origin, host, allowedOrigins);
      const { tickets, room } = asked(request, options.uriHeader);
      tellWhereabouts(facts, { room });
      const repeat = repeatOf(request, options.requestIdHeader);
      const ticket = soleTicket(tickets, 'invalid_ticket');
      const presented = { address, origin: headers.origin, room, aud, ...(repeat && { repeat }) };
      const admitted = await present(ticket, presented);
      tellSession(facts, admitted, bindIp);
      return admitted;
    });
    list(session, { ip: address, via: 'verify' });
    reply.headers(identityHeaders(preset, session));
    if (assert) reply.header('X-Auth-Assertion', await assert(session, aud));
    return reply.code(200).send();
  };

  // Fastify wants a content type of a QUERY, which a proxy that only asks does not send.
  app.addHttpMethod('QUERY', { overrideExisting: true });
  for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  // An OPTIONS is asked about here, too: a preflight's 204 would let it in.
  const config = { cors: false } as const;
  for (const url of ['/verify', '/verify/*']) {
    app.route({
      method: 'GET',
      url,
      exposeHeadRoute: false,
      config,
      schema: {
        hide: url !== '/verify',
        operationId: 'verify',
        summary: 'Forward auth: spend the ticket of the handshake that a proxy shows',
        description:
          'For nginx `auth_request`, Caddy `forward_auth`, HAProxy, Traefik ForwardAuth, Envoy ext_authz; with any method. The ticket is in `Sec-WebSocket-Protocol`, or in the query of the original URI: that which `VERIFY_URI_HEADER` names, else what comes after `/verify`. 200 carries the identity headers (`VERIFY_HEADERS`), and `X-Auth-Assertion` where there is a `JWT_PRIVATE_KEY`.',
        tags: ['socket'],
        querystring: VerifyQuery,
        response: {
          200: {
            description: 'Let it in.',
            type: 'null',
            headers: {
              ...identityHeaderSchemas('x-auth-request'),
              'X-Auth-Assertion': { type: 'string', description: 'A JWT of 60 seconds.' },
            },
          },
          ...refusalsOf(
            'invalid_ticket',
            'origin_forbidden',
            'binding_mismatch',
            'room_forbidden',
            'rate_limited',
            'store_unavailable',
            'overloaded',
          ),
        },
      },
      // The ticket never gets as far as Fastify's validation.
      validatorCompiler: () => () => true,
      handler: answer,
    });
    app.route({ method: methods, url, config, schema: { hide: true }, handler: answer });
  }
  registered();
}

function audienceIn({ query }: FastifyRequest): string | undefined {
  const { aud } = query as { aud?: string | string[] };
  return typeof aud === 'string' ? aud : undefined;
}

/** What the original request asked for. */
function asked(request: FastifyRequest, uriHeader: string | undefined) {
  const offered = ticketsOffered(request.headers['sec-websocket-protocol']);
  const query = uriHeader === undefined ? ownQuery(request) : told(request, uriHeader);
  const [room, another] = query.rooms;
  if (another !== undefined || (room && !isRoom(room))) throw new BrokerError('room_forbidden');
  return { tickets: [...offered, ...query.tickets], room: room || undefined };
}

function ownQuery({ raw, query }: FastifyRequest) {
  return {
    tickets: carriedSecrets(raw).ticket,
    rooms: [(query as { room?: string | string[] }).room ?? []].flat(),
  };
}

/** A proxy sets the header, and so there is one: a second one is a client's. */
function told({ raw }: FastifyRequest, uriHeader: string) {
  const uris = valuesOf(raw, uriHeader);
  if (uris.length > 1) throw new BrokerError('invalid_ticket', { reason: 'several_uris' });
  const query = new URLSearchParams(uris[0]?.split('#', 1)[0]?.split('?').slice(1).join('?'));
  return { tickets: query.getAll('ticket'), rooms: query.getAll('room') };
}

/** Each value that came, where Node would join them. */
function valuesOf({ rawHeaders }: FastifyRequest['raw'], name: string): string[] {
  return rawHeaders.filter(
    (_, index) => rawHeaders[index - 1]?.toLowerCase() === name.toLowerCase() && index % 2 === 1,
  );
}

function repeatOf({ raw }: FastifyRequest, requestIdHeader: string | undefined) {
  if (requestIdHeader === undefined) return undefined;
  const ids = valuesOf(raw, requestIdHeader);
  const [id] = ids;
  if (ids.length !== 1 || id === undefined || !/^[\x21-\x7e]{1,128}$/.test(id)) return undefined;
  return { asker: `verify:${id}`, withinMs: repeatWithinMs };
}
