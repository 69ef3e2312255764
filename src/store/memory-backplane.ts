import type { Backplane, BackplaneLimits, Present, Said } from '../chat/backplane.ts';

interface Room {
  readonly listeners: Set<(said: Said) => void>;
  readonly kept: Said[];
  readonly members: Map<string, Present>;
}

/** How many rooms that nobody is in keep their history. */
const mostEmptyRooms = 1000;

/** The rooms of a single process. */
export function memoryBackplane({ history }: BackplaneLimits): Backplane {
  const rooms = new Map<string, Room>();

  const roomOf = (name: string): Room => {
    const room = rooms.get(name) ?? { listeners: new Set(), kept: [], members: new Map() };
    // The one that was used last is the last.
    rooms.delete(name);
    rooms.set(name, room);
    return room;
  };
  const forgetEmpty = () => {
    for (const [name, { listeners, members }] of rooms) {
      if (rooms.size <= mostEmptyRooms) return;
      if (listeners.size + members.size === 0) rooms.delete(name);
    }
  };

  return {
    hear(name, listener) {
      const { listeners } = roomOf(name);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        forgetEmpty();
      };
    },
    async say(name, said, keep) {
      const { listeners, kept } = roomOf(name);
      if (keep) kept.push(said);
      if (kept.length > history) kept.shift();
      for (const listener of listeners) listener(said);
    },
    history: async (name) => [...(rooms.get(name)?.kept ?? [])],
    async arrive(name, who) {
      const { members } = roomOf(name);
      const isNew = !members.has(who.sub);
      members.set(who.sub, who);
      return isNew;
    },
    depart: async (name, { sub }) => rooms.get(name)?.members.delete(sub) ?? false,
    members: async (name) => [...(rooms.get(name)?.members.values() ?? [])].slice(0, 1000),
    async close() {
      rooms.clear();
    },
  };
}
