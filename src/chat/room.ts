import { Roster } from '../roster.ts';
import type { Connection } from '../sessions/connection.ts';
import type { TokenBucket } from '../sessions/token-bucket.ts';
import type { Backplane, Occupant, Said } from './backplane.ts';
import type { Tally } from './tally.ts';

/** One socket's stay in the chat. */
export interface Member {
  readonly connection: Connection;
  readonly who: Occupant;
  /** The room of a message that names none. */
  readonly own: string;
  /** With what takes it out of each. */
  readonly rooms: Map<Room, () => void>;
  /** What is said in rooms whose history is still on its way: afterwards it would come first. */
  readonly postponed: Map<Room, Said[]>;
  readonly joins: TokenBucket;
}

/** A subject in a room, as far as this process is concerned. */
interface Presence {
  readonly members: Set<Member>;
  /** Rejects where the store does not know of it. */
  readonly arrived: Promise<boolean>;
}

export interface RoomDeps {
  backplane: Backplane;
  randomUUID: () => string;
  /** How many rooms each subject has joined. */
  joinedBy: Tally;
}

/** A room, as far as sockets of this process are in it. */
export class Room {
  readonly name: string;
  /** All that hear what is said. */
  readonly members = new Roster<Member>();
  /** Those who have joined, by their subject: they see who comes and goes, and are seen. */
  readonly #present = new Map<string, Presence>();
  /** These, and those whom the store has still to hear of, or has not. */
  readonly #joiners = new Map<string, Set<Member>>();
  readonly #backplane: Backplane;
  readonly #randomUUID: () => string;
  readonly #joinedBy: Tally;
  readonly #stop: () => void;

  constructor(name: string, { backplane, randomUUID, joinedBy }: RoomDeps) {
    this.name = name;
    this.#backplane = backplane;
    this.#randomUUID = randomUUID;
    this.#joinedBy = joinedBy;
    this.#stop = backplane.hear(name, (said) => this.#deliver(said));
  }

  /** Hears nothing any more. */
  close(): void {
    this.#stop();
  }

  /** Whether a subject has joined, or is about to. */
  isJoinedBy(sub: string): boolean {
    return this.#joiners.has(sub);
  }

  /** Counts a member among those who join, whatever comes of that, until it disappears. */
  expect(member: Member): void {
    const { sub } = member.who;
    const own = this.#joiners.get(sub);
    if (own) return void own.add(member);
    this.#joiners.set(sub, new Set([member]));
    this.#joinedBy.up(sub);
  }

  /** Makes a member be seen. @returns whether nobody saw its subject before, on any node */
  async appear(member: Member): Promise<boolean> {
    const { sub } = member.who;
    const known = this.#present.get(sub);
    if (known) {
      known.members.add(member);
      await known.arrived;
      return false;
    }
    const arrived = this.#backplane.arrive(this.name, member.who);
    const presence = { members: new Set([member]), arrived };
    this.#present.set(sub, presence);
    return arrived.catch((error: unknown) => {
      // Nobody has seen any of them: whoever tries next arrives anew.
      if (this.#present.get(sub) === presence) this.#present.delete(sub);
      throw error;
    });
  }

  /** The opposite; the others are told when it was the subject's last socket on any node. */
  async disappear(member: Member): Promise<void> {
    const { who } = member;
    this.#expectNoMore(member);
    const own = this.#present.get(who.sub)?.members;
    if (!own?.delete(member) || own.size > 0) return;
    this.#present.delete(who.sub);
    if (await this.#backplane.depart(this.name, who)) await this.tellPresence(who, 'left');
  }

  async tellPresence({ username }: Occupant, status: 'joined' | 'left'): Promise<void> {
    const text = JSON.stringify({ type: 'presence', room: this.name, user: username, status });
    await this.#backplane.say(this.name, { id: this.#randomUUID(), text }, false);
  }

  #expectNoMore(member: Member): void {
    const { sub } = member.who;
    const own = this.#joiners.get(sub);
    if (!own?.delete(member) || own.size > 0) return;
    this.#joiners.delete(sub);
    this.#joinedBy.down(sub);
  }

  #deliver(said: Said): void {
    const { type } = JSON.parse(said.text) as { type: string };
    for (const member of type === 'presence' ? this.#joined() : this.members) {
      const postponed = member.postponed.get(this);
      if (postponed) postponed.push(said);
      else member.connection.send(said.text);
    }
  }

  *#joined(): Iterable<Member> {
    for (const { members } of this.#present.values()) yield* members;
  }
}
