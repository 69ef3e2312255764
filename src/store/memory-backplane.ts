import {
  type Backplane,
  type BackplaneLimits,
  mostMembers,
  type Occupant,
  type Said,
} from '../chat/backplane.ts';

interface Room {
  readonly listeners: Set<(said: Said) => void>;
  readonly kept: Said[];
  readonly members: Map<string, Occupant>;
}

/** How many rooms that nobody is in keep their history. */
const mostEmptyRooms = 1000;

/** The rooms of a single process. */
export function memoryBackplane({ history }: BackplaneLimits): Backplane {
  /** Those that somebody hears or is in. */
  const used = new Map<string, Room>();
  /** The others, the one that was left first is the first. */
  const empty = new Map<string, Room>();

  const find = (name: string) => used.get(name) ?? empty.get(name);
  const roomOf = (name: string): Room => find(name) ?? { listeners: new Set(), kept: [], members: new Map() };
  /** Puts it where it belongs after a change. */
  const place = (name: string, room: Room) => {
    const isUsed = room.listeners.size + room.members.size > 0;
    empty.delete(name);
    if (isUsed) used.set(name, room);
    else {
      used.delete(name);
      empty.set(name, room);
    }
    for (const oldest of empty.keys()) {
      if (empty.size <= mostEmptyRooms) return;
      empty.delete(oldest);
    }
  };

  return {
    hear(name, listener) {
      const room = roomOf(name);
      room.listeners.add(listener);
      place(name, room);
      return () => {
        if (room.listeners.delete(listener)) place(name, room);
      };
    },
    async say(name, said, keep) {
      const room = roomOf(name);
      const { listeners, kept } = room;
      if (kept.some(({ id }) => id === said.id)) return;
      if (keep) kept.push(said);
      if (kept.length > history) kept.shift();
      place(name, room);
      for (const listener of listeners) listener(said);
    },
    history: async (name) => [...(find(name)?.kept ?? [])],
    async arrive(name, who) {
      const room = roomOf(name);
      const isNew = !room.members.has(who.sub);
      if (isNew) room.members.set(who.sub, who);
      place(name, room);
      return isNew;
    },
    async depart(name, { sub }) {
      const room = used.get(name);
      const isGone = room?.members.delete(sub) ?? false;
      if (room && isGone) place(name, room);
      return isGone;
    },
    members: async (name) => [...(find(name)?.members.values() ?? [])].slice(0, mostMembers),
    async close() {
      used.clear();
      empty.clear();
    },
  };
}
