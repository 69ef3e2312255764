import { type Backplane, mostMembers, type Occupant } from '../chat/backplane.ts';
import { repeatedly } from '../repeatedly.ts';
import { slices } from '../slices.ts';
import type { ChatKeys } from './chat-keys.ts';
import type { RedisConnection } from './connection.ts';

/** Scripts that are sent at once. */
const tellAtOnce = 100;

export interface RedisPresenceOptions {
  connection: RedisConnection;
  keys: Pick<ChatKeys, 'members' | 'member'>;
  /** The name of this process, unlike that of any other. */
  node: string;
  /** Milliseconds after which a silent node's members are gone. */
  leaseMs: number;
}

/** Who is in which room, on any node: a lease of each node, renewed as long as the node lives. */
export function redisPresence({
  connection,
  keys,
  node,
  leaseMs,
}: RedisPresenceOptions): Pick<Backplane, 'arrive' | 'depart' | 'members' | 'close'> {
  /** Whom this node has said to be where, to say it again. */
  const announced = new Map<string, { room: string; who: Occupant }>();

  const tellArrival = async (room: string, { sub, username }: Occupant) => {
    const [isNew] = await connection.run('arrive', keys.member(room, sub), node, sub, username, leaseMs);
    return isNew === 1;
  };
  const tellDeparture = async (room: string, { sub }: Occupant) => {
    const [isGone] = await connection.run('depart', keys.member(room, sub), node, sub);
    return isGone === 1;
  };
  /** Some at a time: they may be a hundred thousand, and handshakes go on meanwhile. Who has left by then is not told of. */
  const tellAll = async (
    all: Iterable<{ room: string; who: Occupant }>,
    tell: (room: string, who: Occupant) => Promise<boolean>,
  ) => {
    for (const some of slices(all, tellAtOnce)) {
      await Promise.allSettled(some.map(({ room, who }) => tell(room, who)));
    }
  };
  const renewal = repeatedly(leaseMs / 3, () => tellAll(announced.values(), tellArrival));

  return {
    async arrive(room, who) {
      const isNew = await tellArrival(room, who);
      // Not before: an arrival that failed is nobody's, and its lease ends.
      announced.set(nameOf(room, who), { room, who });
      return isNew;
    },
    async depart(room, who) {
      announced.delete(nameOf(room, who));
      return tellDeparture(room, who);
    },
    async members(room) {
      const members = (await connection.run('members', keys.members(room), mostMembers)) as string[];
      return members.flatMap((sub, n) => (n % 2 === 0 ? [{ sub, username: members[n + 1] ?? '' }] : []));
    },
    async close() {
      const all = [...announced.values()];
      announced.clear();
      await renewal.stop();
      await tellAll(all, tellDeparture);
    },
  };
}

const nameOf = (room: string, { sub }: Occupant) => `${room}\n${sub}`;
