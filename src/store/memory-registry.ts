import type { ListedSession, Registry } from '../sessions/registry.ts';

/** The registry of a single process. */
export function memoryRegistry(): Registry {
  const sessions = new Map<string, ListedSession>();
  const of = (sub: string) => [...sessions.values()].filter((session) => session.sub === sub);
  return {
    async add(session) {
      sessions.set(session.session_id, session);
    },
    async remove({ session_id }) {
      sessions.delete(session_id);
    },
    ofSubject: async (sub) => of(sub),
    page: async () => ({ sessions: [...sessions.values()] }),
    find: async (session_id) => sessions.get(session_id),
    async close() {
      sessions.clear();
    },
  };
}
