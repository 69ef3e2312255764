import {
  type Backplane,
  type BackplaneLimits,
  historyMs,
  mostHistories,
  mostMembers,
  type Occupant,
  type Said,
} from '../chat/backplane.ts';

interface Room {
  readonly listeners: Set<(said: Said) => void>;
  readonly members: Map<string, Occupant>;
}

interface History {
  readonly kept: Said[];
  /** When the last of it was kept, in milliseconds of a clock that is never set. */
  readonly at: number;
}

/** The rooms of a single process. */
export function memoryBackplane({ history }: BackplaneLimits): Backplane {
  /** Those that somebody hears or is in. */
  const rooms = new Map<string, Room>();
  /** The one that was spoken in last is the last. */
  const histories = new Map<string, History>();

  /** Makes a change, and drops a room that nobody is left in. */
  const change = <Result>(name: string, work: (room: Room) => Result): Result => {
    const room = rooms.get(name) ?? { listeners: new Set(), members: new Map() };
    const result = work(room);
    if (room.listeners.size + room.members.size > 0) rooms.set(name, room);
    else rooms.delete(name);
    return result;
  };
  const historyOf = (name: string): Said[] => {
    const { kept = [], at = 0 } = histories.get(name) ?? {};
    return performance.now() - at < historyMs ? kept : [];
  };
  const keep = (name: string, said: Said) => {
    const kept = [...historyOf(name), said].slice(-history);
    histories.delete(name);
    histories.set(name, { kept, at: performance.now() });
    for (const oldest of histories.keys()) {
      if (histories.size <= mostHistories) return;
      histories.delete(oldest);
    }
  };

  return {
    hear(name, listener) {
      change(name, ({ listeners }) => listeners.add(listener));
      return () => void change(name, ({ listeners }) => listeners.delete(listener));
    },
    async say(name, said, isKept) {
      if (historyOf(name).some(({ id }) => id === said.id)) return;
      if (isKept && history > 0) keep(name, said);
      for (const listener of rooms.get(name)?.listeners ?? []) listener(said);
    },
    history: async (name) => [...historyOf(name)],
    async arrive(name, who) {
      return change(name, ({ members }) => {
        const isNew = !members.has(who.sub);
        if (isNew) members.set(who.sub, who);
        return isNew;
      });
    },
    async depart(name, { sub }) {
      return change(name, ({ members }) => members.delete(sub));
    },
    members: async (name) => [...(rooms.get(name)?.members.values() ?? [])].slice(0, mostMembers),
    async close() {
      rooms.clear();
      histories.clear();
    },
  };
}
