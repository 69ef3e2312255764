import { setTimeout as sleep } from 'node:timers/promises';
import { requireScope, requireService } from '../credentials/caller.ts';
import type { Decide, Facts } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import { type Revoke, revokeAndTell } from '../revocations/revoke.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Authenticate } from './authenticate.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import { limitedRefusalsOf, refusalsOf } from './refusal-schemas.ts';
import { limitHeaders, NoContent } from './schemas.ts';
import { SessionPage, SessionPath, SessionsQuery } from './session-schemas.ts';
import type { App } from './type-provider.ts';

export interface SessionRoutesOptions {
  authenticate: Authenticate;
  decide: Decide;
  revoke: Revoke;
  registry: Registry;
  /** Sessions that a user may end one by one, a window; 0 = no limit. */
  loginLimit: number;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds in which a node lists whom it has welcomed, also a busy one. */
const listedWithinMs = 100;

/** `/sessions`: who is connected where, and how that is ended. */
export function sessionRoutes(
  app: App,
  { authenticate, decide, revoke, registry, loginLimit, now }: SessionRoutesOptions,
): void {
  const perSubject = limit(app, 'end_subject', loginLimit);
  /** Log-outs that are under way, by `sub`. */
  const leaving = new Map<string, Promise<unknown>>();
  const isOwn = async (sub: string, session_id: string) => {
    if (await registry.find(session_id, sub)) return true;
    // Another node may have welcomed it just now, and be about to list it.
    await sleep(listedWithinMs);
    return (await registry.find(session_id, sub)) !== undefined;
  };

  app.get(
    '/sessions',
    {
      schema: {
        operationId: 'listSessions',
        summary: 'List live sessions, of all or of one subject',
        tags: ['sessions'],
        security: [{ serviceKey: [] }],
        querystring: SessionsQuery,
        response: {
          200: SessionPage,
          ...refusalsOf('invalid_token', 'insufficient_scope', 'store_unavailable'),
        },
      },
    },
    async (request) => {
      const caller = await authenticate(request);
      requireService(caller);
      requireScope(caller, 'sessions:read');
      const { sub, cursor } = request.query;
      return sub === undefined ? registry.page(cursor) : { sessions: await registry.ofSubject(sub) };
    },
  );

  app.delete(
    '/sessions/:session_id',
    {
      schema: {
        operationId: 'endSession',
        summary: 'End a session, on whichever node it is',
        description:
          "For a service key of scope `revoke`: any session, listed or not. For a user: one of those that are listed as their own; 404 for any other, be it another's or over. `LOGIN_LIMIT` says how many a user may end in a window.",
        tags: ['sessions'],
        security: [{ token: [] }, { serviceKey: [] }],
        params: SessionPath,
        response: {
          204: { ...NoContent, headers: limitHeaders },
          ...limitedRefusalsOf(
            'invalid_token',
            'token_revoked',
            'insufficient_scope',
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
      const { session_id } = request.params;
      const ip = clientAddress(request);
      const facts: Facts = { decision: 'revoke', ip, target: 'session_id', session_id };
      return decide(request.log, facts, async () => {
        const caller = await authenticate(request);
        if (caller.kind === 'service') {
          Object.assign(facts, { by: 'service', key: caller.name });
          requireScope(caller, 'revoke');
        } else {
          Object.assign(facts, { by: 'user', sub: caller.sub });
          // Whether it is another's is nobody's business.
          if (!(await isOwn(caller.sub, session_id))) {
            throw new BrokerError('not_found', { reason: 'not_listed' });
          }
          // All nodes remember each for as long as a session can last. Logging out everywhere is one, and is not limited.
          await perSubject(request, reply, caller.sub);
        }
        await revokeAndTell(facts, revoke, { session_id }, 'session ended');
        return reply.code(204).send(null);
      });
    },
  );

  app.delete(
    '/sessions',
    {
      schema: {
        operationId: 'logOutEverywhere',
        summary: 'Log out everywhere',
        description:
          'Ends all sessions of the user of the token, and refuses the tickets and tokens issued until now: this token, too.',
        tags: ['sessions'],
        security: [{ token: [] }],
        response: {
          204: NoContent,
          ...refusalsOf(
            'invalid_token',
            'token_revoked',
            'payload_too_large',
            'unsupported_media_type',
            'store_unavailable',
            'idp_unavailable',
          ),
        },
      },
    },
    async (request, reply) => {
      const facts: Facts = { decision: 'revoke', ip: clientAddress(request) };
      return decide(request.log, facts, async () => {
        const caller = await authenticate(request);
        if (caller.kind === 'service') {
          Object.assign(facts, { by: 'service', key: caller.name });
          throw new BrokerError('invalid_request', { description: 'Name the sub: POST /revocations.' });
        }
        const { sub } = caller;
        Object.assign(facts, { by: 'user', sub });
        // Who has been logged out meanwhile has nothing left to end, and each revocation is remembered by all nodes.
        for (let other = leaving.get(sub); other; other = leaving.get(sub)) {
          await other.catch(() => {});
          await authenticate(request);
        }
        const target = { sub, issued_before: now() / 1000 };
        const left = revokeAndTell(facts, revoke, target, 'logged out everywhere').finally(() =>
          leaving.delete(sub),
        );
        leaving.set(sub, left);
        await left;
        return reply.code(204).send(null);
      });
    },
  );
}
