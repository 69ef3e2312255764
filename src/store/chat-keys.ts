/** The chat's keys and channels; those of one room are in one slot. */
export interface ChatKeys {
  /** The rooms whose history is kept, by when they were spoken in last. */
  readonly rooms: string;
  channel(room: string): string;
  /** The opposite. */
  roomOf(channel: string): string;
  history(room: string): string;
  /** Who is there, and under which name. */
  members(room: string): string[];
  /** These, and on which nodes one of them is. */
  member(room: string, sub: string): string[];
  /** The channel on which a node hears whether it hears. */
  pulse(node: string): string;
}

/**
 * @param prefix begins every key and channel
 * @param db the number of the database, which channels know nothing of
 */
export function chatKeys(prefix: string, db: number): ChatKeys {
  const channels = db === 0 ? `${prefix}chat:` : `${prefix}chat@${db}:`;
  const of = (room: string, what: string) => `${prefix}chat:{${spelt(room)}}:${what}`;
  const members = (room: string) => [of(room, 'members'), of(room, 'names')];
  return {
    rooms: `${prefix}chat-rooms`,
    channel: (room) => `${channels}${spelt(room)}`,
    roomOf: (channel) => decodeURIComponent(channel.slice(channels.length)),
    history: (room) => of(room, 'history'),
    members,
    member: (room, sub) => [...members(room), of(room, `nodes:${sub}`)],
    pulse: (node) => `${prefix}chat-pulse:${node}`,
  };
}

/** Braces in a name would be taken for the mark of the slot. */
const spelt = (room: string) => encodeURIComponent(room.toWellFormed());
