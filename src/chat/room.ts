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
  /** In how many rooms each subject is seen. */
  seenIn: Tally;
}

/** A room, as far as sockets of this process are in it. */
export class Room {
  readonly name: string;
  /** All that hear what is said. */
  readonly members = new Roster<Member>();
  /** Those who have joined, by their subject: they see who comes and goes, and are seen. */
  readonly #present = new Map<string, Presence>();
  readonly #backplane: Backplane;
  readonly #randomUUID: () => string;
  readonly #seenIn: Tally;
  readonly #stop: () => void;

  constructor(name: string, { backplane, randomUUID, seenIn }: RoomDeps) {
    this.name = name;
    this.#backplane = backplane;
    this.#randomUUID = randomUUID;
    this.#seenIn = seenIn;
    this.#stop = backplane.hear(name, (said) => this.#deliver(said));
  }

  /** Hears nothing any more. */
  close(): void {
    this.#stop();
  }

  /** Whether a subject is seen here. */
  sees(sub: string): boolean {
    return this.#present.has(sub);
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
    this.#seenIn.up(sub);
    return arrived.catch((error: unknown) => {
      // Nobody has seen any of them: whoever tries next arrives anew.
      if (this.#present.get(sub) === presence) this.#forget(sub);
      throw error;
    });
  }

  /** The opposite; the others are told when it was the subject's last socket on any node. */
  async disappear(member: Member): Promise<void> {
    const { who } = member;
    const own = this.#present.get(who.sub)?.members;
    if (!own?.delete(member) || own.size > 0) return;
    this.#forget(who.sub);
    if (await this.#backplane.depart(this.name, who)) await this.tellPresence(who, 'left');
  }

  async tellPresence({ username }: Occupant, status: 'joined' | 'left'): Promise<void> {
    const text = JSON.stringify({ type: 'presence', room: this.name, user: username, status });
    await this.#backplane.say(this.name, { id: this.#randomUUID(), text }, false);
  }

  #forget(sub: string): void {
    this.#present.delete(sub);
    this.#seenIn.down(sub);
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
