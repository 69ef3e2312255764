import type { Feed } from '../revocations/feed.ts';
import type { ListedSession, Registry } from './registry.ts';

/**
 * The registry without what this node knows to be revoked: a socket that is being closed, and what is held by somebody who never
 * tells that it has closed.
 */
export function unrevoked(registry: Registry, feed: Pick<Feed, 'find'>): Registry {
  const stands = (session: ListedSession) => feed.find(session) === undefined;
  return {
    ...registry,
    ofSubject: async (sub) => (await registry.ofSubject(sub)).filter(stands),
    async page(cursor) {
      const { sessions, ...rest } = await registry.page(cursor);
      return { sessions: sessions.filter(stands), ...rest };
    },
    async find(session_id, sub) {
      const session = await registry.find(session_id, sub);
      return session && stands(session) ? session : undefined;
    },
  };
}
