/** Something that was said in a room. */
export interface Said {
  /** Names it: nobody hears twice what was kept. */
  readonly id: string;
  /** JSON, as it goes out. */
  readonly text: string;
}

/** Who is in a room: a subject, however many sockets it has there. */
export interface Occupant {
  readonly sub: string;
  readonly username: string;
}

/** Milliseconds that a room's history outlives what was said last: a day. */
export const historyMs = 86_400_000;
/** Histories that are kept at once: those of the rooms that were spoken in last. */
export const mostHistories = 500;
/** How many of those in a room are told at most. */
export const mostMembers = 1000;

/**
 * What joins the rooms of all nodes. Every driver passes `test/support/backplane-contract.ts`; calls reject with
 * `BrokerError('store_unavailable')` when the store does not answer.
 */
export interface Backplane {
  /**
   * Hears a room from now on, what this node says in it included. After a break, what was missed comes from the history.
   *
   * @returns what ends that
   */
  hear(room: string, listener: (said: Said) => void): () => void;
  /** Says it to all who hear the room. @param keep whether it becomes part of the room's history */
  say(room: string, said: Said, keep: boolean): Promise<void>;
  /** The last things that were kept, oldest first. */
  history(room: string): Promise<Said[]>;
  /**
   * Somebody's first socket on this node is in the room. Who is there already stays so under the username of then.
   *
   * @returns whether they were on no node before
   */
  arrive(room: string, who: Occupant): Promise<boolean>;
  /** Somebody's last socket on this node has left, under whatever username. @returns whether they are on no node now */
  depart(room: string, who: Occupant): Promise<boolean>;
  /** Who is there, in no order; `mostMembers` at most. */
  members(room: string): Promise<Occupant[]>;
  close(): Promise<void>;
}

export interface BackplaneLimits {
  /** How many messages of a room are kept. */
  history: number;
}
