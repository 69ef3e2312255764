import type { ListedSession, Registry } from '../sessions/registry.ts';

/** The registry of a single process. @param now milliseconds since the epoch */
export function memoryRegistry(now: () => number): Registry {
  const sessions = new Map<string, ListedSession>();
  const listed = () => [...sessions.values()].filter(({ exp }) => exp * 1000 > now());
  return {
    async add(session) {
      sessions.set(session.session_id, session);
    },
    async remove({ session_id }) {
      sessions.delete(session_id);
    },
    ofSubject: async (sub) => listed().filter((session) => session.sub === sub),
    page: async () => ({ sessions: listed() }),
    find: async (session_id, sub) => {
      const session = sessions.get(session_id);
      if (sub !== undefined && session?.sub !== sub) return undefined;
      return session && session.exp * 1000 > now() ? session : undefined;
    },
    async close() {
      sessions.clear();
    },
  };
}
