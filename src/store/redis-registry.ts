import { isHeldElsewhere, type ListedSession, type Registry } from '../sessions/registry.ts';
import { slices } from '../slices.ts';
import { type HeldSessions, type HeldSessionsOptions, heldSessions } from './held-sessions.ts';
import { registryHashes } from './registry-hashes.ts';

export interface RedisRegistryOptions extends Omit<HeldSessionsOptions, 'hashes' | 'leaseMs'> {
  /** Begins every key. */
  prefix: string;
  /** Milliseconds after which a silent node's sessions are gone. */
  leaseMs?: number;
}

/** Sessions that one command takes out: each is an argument. */
const sweptTogether = 1000;

/**
 * The registry that all nodes share. `sessions-of:<node>` holds a node's sessions and expires with its lease;
 * `sessions-for:<sub>` finds those of a subject without asking every node; `nodes` tells whose lease is good, and what a dead
 * node has left in a subject's hash is passed over and swept when it is met. Sessions that are held elsewhere are listed under
 * names that stand for no process, `elsewhere-until-<Unix seconds>`, and whose leases last until then.
 */
export function redisRegistry(options: RedisRegistryOptions): Registry & Pick<HeldSessions, 'renew'> {
  const { connection, prefix, node, now, leaseMs = 15_000 } = options;
  const hashes = registryHashes(connection, prefix);
  const held = heldSessions({ ...options, hashes, leaseMs });
  const isOver = ({ exp }: ListedSession) => exp * 1000 <= now();
  const isHeld = (session: ListedSession, live: ReadonlySet<string>) =>
    isHeldElsewhere(session) ||
    (session.node === node ? held.has(session.session_id) : live.has(session.node));

  return {
    add: held.add,
    remove: held.remove,
    renew: held.renew,

    async ofSubject(sub) {
      const key = hashes.forSubject(sub);
      await held.settled();
      const all = await hashes.all(key);
      // Afterwards: a node has its lease before anything is listed for it.
      const live = await held.liveNodes();
      const gone = new Set(all.filter((session) => isOver(session) || !isHeld(session, live)));
      for (const some of slices(gone, sweptTogether)) {
        await connection.command('HDEL', key, ...some.map(({ session_id }) => session_id));
      }
      return all.filter((session) => !gone.has(session)).sort((a, b) => a.since - b.since);
    },

    async page(cursor = '') {
      await held.settled();
      const live = [...(await held.liveNodes())].sort();
      const [name = live[0] ?? '', position = '0'] = cursor === '' ? [] : cursor.split(/:(?=\d+$)/);
      const { sessions, next } = await hashes.some(hashes.ofNode(name), position);
      const following = next === '0' ? live.find((other) => other > name) : name;
      return {
        sessions: sessions.filter((session) => !isOver(session)),
        ...(following !== undefined && { cursor: `${following}:${next}` }),
      };
    },

    async find(session_id, sub) {
      await held.settled();
      if (sub === undefined) {
        const live = [...(await held.liveNodes())];
        const found = await hashes.named(session_id, live.map(hashes.ofNode));
        return found.find((session) => !isOver(session));
      }
      const [session] = await hashes.named(session_id, [hashes.forSubject(sub)]);
      if (!session || isOver(session)) return undefined;
      return isHeld(session, await held.liveNodes()) ? session : undefined;
    },

    async close() {
      // What is still on its way would call the node alive again.
      await held.stop();
      await Promise.all([
        connection.command('ZREM', hashes.nodes, node),
        connection.command('DEL', hashes.ofNode(node)),
      ]).catch(() => {});
    },
  };
}
