import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { requireScope, requireService, type Service } from '../credentials/caller.ts';
import type { Decide, Facts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import { eventOf, heartbeat, heartbeatMs } from '../revocations/event-stream.ts';
import type { Feed } from '../revocations/feed.ts';
import type { RevocationTarget } from '../revocations/revocation.ts';
import { type Revoke, revokeAndTell } from '../revocations/revoke.ts';
import type { Authenticate } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
import { refusalsOf } from './refusal-schemas.ts';
import { RevocationAnswer, RevocationRequest } from './session-schemas.ts';
import type { App } from './type-provider.ts';

export interface RevocationRoutesOptions {
  authenticate: Authenticate;
  decide: Decide;
  revoke: Revoke;
  feed: Feed;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds in which a reader has to take something of what is retained. */
const replayStallMs = 10_000;
/** Bytes that a slow reader may leave unread before it is cut off; it resumes with `Last-Event-ID`. */
const unreadLimit = 1024 * 1024;

/** `/revocations`: what is revoked, and the feed of it. */
export function revocationRoutes(app: App, options: RevocationRoutesOptions): void {
  const { authenticate, decide, revoke, feed, now } = options;

  app.post(
    '/revocations',
    {
      schema: {
        operationId: 'revoke',
        summary: 'Revoke a subject, a session or a ticket, on all nodes',
        description:
          'Exactly one of `sub`, `session_id` and `ticket_id`. Unused tickets are refused, tokens with an `auth_time` up to `issued_before` are refused, live sockets are closed with 3003. 200 once it cannot be forgotten; asking again is harmless.',
        tags: ['revocation'],
        security: [{ serviceKey: [] }],
        body: RevocationRequest,
        response: {
          200: RevocationAnswer,
          ...refusalsOf(
            'invalid_token',
            'insufficient_scope',
            'payload_too_large',
            'unsupported_media_type',
            'store_unavailable',
          ),
        },
      },
    },
    async (request) => {
      const facts: Facts = { decision: 'revoke', ip: clientAddress(request) };
      return decide(request.log, facts, async () => {
        const caller = await authenticate(request);
        facts.by = caller.kind;
        requireService(caller);
        facts.key = caller.name;
        requireScope(caller, 'revoke');
        const { reason } = request.body;
        const { id, sessions } = await revokeAndTell(facts, revoke, targetOf(request.body), reason);
        return { id, sessions };
      });
    },
  );

  const streams = new Set<() => void>();
  app.addHook('preClose', async () => {
    for (const end of streams) end();
  });

  app.get(
    '/revocations',
    {
      // It would wait for the end of the stream.
      exposeHeadRoute: false,
      // It would hold all that is retained until the answer before it has ended, which may be another stream.
      onRequest: app.unlessOwing,
      schema: {
        operationId: 'followRevocations',
        summary: 'Follow the feed as server-sent events',
        description:
          'Each event is `id: <cursor>`, `event: revocation`, `data: {rid, sub|session_id|ticket_id, issued_before?, reason?, at}`. `Last-Event-ID` resumes; an unknown one begins with all that is retained, so drop the `rid`s that you know. The comment `current`, sent each second, says that this is all there is up to now: without one for three, admit nobody. For service keys with any scope besides `tickets:mint`; the stream ends when the key may not follow it any more.',
        tags: ['revocation'],
        security: [{ serviceKey: [] }],
        response: {
          200: {
            description: 'The feed, without end.',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          ...refusalsOf('invalid_token', 'insufficient_scope', 'store_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { name: key } = await followerOf(request);
      if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
      reply.hijack();
      const stream = reply.raw;
      stream.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      });
      stream.on('error', () => {});
      const abort = () => stream.destroy();
      streams.add(abort);
      const last = await replay(stream, feed, lastEventId(request));
      streams.delete(abort);
      if (stream.destroyed) return reply;
      const write = (text: string) => {
        stream.write(text);
        if (stream.writableLength > unreadLimit) stream.destroy();
      };
      // Nothing has come since: no turn has passed.
      for (const entry of feed.since(last)) write(eventOf(entry));
      write(heartbeat(feed.current));
      const unfollow = feed.follow((entry) => write(eventOf(entry)));
      const beat = async () => {
        try {
          await followerOf(request);
        } catch {
          request.log.info({ key }, 'the feed ends for a key that may not follow it any more');
          return end();
        }
        if (!stream.destroyed) write(heartbeat(feed.current));
      };
      const beats = setInterval(() => void beat(), heartbeatMs).unref();
      const stop = () => {
        clearInterval(beats);
        unfollow();
        streams.delete(end);
      };
      const end = () => {
        stop();
        stream.end();
      };
      streams.add(end);
      stream.on('close', stop);
      return reply;
    },
  );

  /** Asked again while the stream lasts: a key may be taken away. */
  async function followerOf(request: FastifyRequest): Promise<Service> {
    const caller = await authenticate(request);
    requireService(caller);
    if ([...caller.scopes].some((scope) => scope !== 'tickets:mint')) return caller;
    throw new BrokerError('insufficient_scope', { facts: { key: caller.name } });
  }

  function targetOf(body: Static<typeof RevocationRequest>): RevocationTarget {
    const { sub, session_id, ticket_id, issued_before } = body;
    if ([sub, session_id, ticket_id].filter((field) => field !== undefined).length !== 1) {
      throw invalid('exactly one of sub, session_id and ticket_id is required');
    }
    if (sub === undefined && issued_before !== undefined) throw invalid('issued_before goes with sub');
    if (session_id !== undefined) return { session_id };
    if (ticket_id !== undefined) return { ticket_id };
    const present = now() / 1000;
    if (issued_before !== undefined && issued_before > present + 5)
      throw invalid('issued_before lies in the future');
    return { sub: sub ?? '', issued_before: Math.min(issued_before ?? present, present) };
  }
}

/** Sends what is retained after a cursor, as fast as it is read. @returns where that has led to */
async function replay(stream: FastifyReply['raw'], feed: Feed, cursor: string | undefined) {
  let last = cursor;
  for (const entry of feed.since(cursor)) {
    last = entry.cursor;
    if (stream.write(eventOf(entry))) continue;
    await drained(stream);
    if (stream.destroyed) break;
  }
  return last;
}

/** Resolves when a reader has taken what it was sent, or is gone: one that takes nothing is cut off. */
function drained(stream: FastifyReply['raw']): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => stream.destroy(), replayStallMs);
    const go = () => {
      clearTimeout(late);
      stream.off('drain', go).off('close', go);
      resolve();
    };
    stream.on('drain', go).on('close', go);
  });
}

function lastEventId({ headers }: FastifyRequest): string | undefined {
  return [headers['last-event-id']].flat()[0];
}

function invalid(description: string): BrokerError {
  return new BrokerError('invalid_request', { description });
}
