import type { ListedSession, Registry } from '../sessions/registry.ts';
import type { RedisConnection } from './connection.ts';
import { enlisting } from './enlisting.ts';

export interface RedisRegistryOptions {
  connection: RedisConnection;
  /** Begins every key. */
  prefix: string;
  /** The name of this process, unlike that of any other. */
  node: string;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** The longest a session can last, in seconds. */
  sessionTtl: number;
  /** Milliseconds after which a silent node's sessions are gone. */
  leaseMs?: number;
}

/** Sessions that are said again together, so that the tickets of others do not wait behind all of them. */
const saidTogether = 1000;

/**
 * The registry that all nodes share. `sessions-of:<node>` holds a node's sessions and expires with its lease;
 * `sessions-for:<sub>` finds those of a subject without asking every node; `nodes` tells whose lease is good, and what a dead
 * node has left in a subject's hash is passed over and swept when it is met. Whatever could not be written is written with a
 * later renewal of the lease.
 */
export function redisRegistry(options: RedisRegistryOptions): Registry {
  const { connection, prefix, node, now, sessionTtl, leaseMs = 15_000 } = options;
  const nodesKey = `${prefix}nodes`;
  const ofNode = (name: string) => `${prefix}sessions-of:${name}`;
  const forSubject = (sub: string) => `${prefix}sessions-for:${sub}`;
  /** What this node holds, to say it again to a Redis that has lost it. */
  const held = new Map<string, ListedSession>();
  /** Those of them whose writing has not succeeded yet. */
  const unwritten = new Set<string>();
  /** The subjects of those that have gone, and whose removal has not succeeded yet. */
  const unremoved = new Map<string, string>();

  /** Who asks is alive: the answer always holds this node. */
  const liveNodes = async () => new Set((await connection.run('lease', nodesKey, leaseMs, node)) as string[]);
  // The lease first: others sweep away what belongs to a node without one.
  const { enter, settled } = enlisting(connection, liveNodes);

  const write = async (session: ListedSession) => {
    const { session_id, sub } = session;
    unwritten.add(session_id);
    unremoved.delete(session_id);
    const json = JSON.stringify(session);
    await enter(
      { key: ofNode(node), session_id, json, ttlMs: leaseMs },
      // No session outlives this one's whole span.
      { key: forSubject(sub), session_id, json, ttlMs: sessionTtl * 1000 },
    );
    // It may go on under another end by now, and that not be written yet.
    if (held.get(session_id) === session) unwritten.delete(session_id);
  };

  const takeOut = async (session_id: string, sub: string) => {
    unremoved.set(session_id, sub);
    await enter(
      { key: ofNode(node), session_id, json: '', ttlMs: 0 },
      { key: forSubject(sub), session_id, json: '', ttlMs: 0 },
    );
    unremoved.delete(session_id);
  };

  let closed = false;
  /** Says again what becomes of sessions: what is held of them is written, what has gone is taken out. */
  const sayAgain = async (session_ids: readonly string[]) => {
    for (let start = 0; start < session_ids.length && !closed; start += saidTogether) {
      const together = session_ids.slice(start, start + saidTogether).map((session_id) => {
        const [session, sub] = [held.get(session_id), unremoved.get(session_id)];
        if (session) return write(session);
        return sub === undefined ? undefined : takeOut(session_id, sub);
      });
      await Promise.all(together);
    }
  };

  const renew = async () => {
    await liveNodes();
    const kept = await connection.command('PEXPIRE', ofNode(node), leaseMs);
    await sayAgain([...unremoved.keys(), ...(kept === 0 ? held.keys() : unwritten)]);
  };
  let renewing: Promise<void> | undefined;
  const renewal = setInterval(() => {
    // One that says everything again may take longer than the time to the next.
    renewing ??= renew()
      .catch(() => {})
      .finally(() => {
        renewing = undefined;
      });
  }, leaseMs / 3).unref();

  const parsed = (values: unknown) => (values as string[]).map((value) => JSON.parse(value) as ListedSession);
  const isOver = ({ exp }: ListedSession) => exp * 1000 <= now();

  const ofSubject = async (sub: string) => {
    const [live, values] = await Promise.all([liveNodes(), connection.command('HVALS', forSubject(sub))]);
    const all = parsed(values);
    const gone = all.filter(
      (session) =>
        !live.has(session.node) ||
        isOver(session) ||
        (session.node === node && !held.has(session.session_id)),
    );
    if (gone.length > 0) {
      await connection.command('HDEL', forSubject(sub), ...gone.map(({ session_id }) => session_id));
    }
    return all.filter((session) => !gone.includes(session)).sort((a, b) => a.since - b.since);
  };

  return {
    async add(session) {
      held.set(session.session_id, session);
      await write(session);
    },

    async remove({ session_id, sub }) {
      held.delete(session_id);
      unwritten.delete(session_id);
      await takeOut(session_id, sub);
    },

    ofSubject,

    async page(cursor = '') {
      const live = [...(await liveNodes())].sort();
      const [name = live[0] ?? '', position = '0'] = cursor === '' ? [] : cursor.split(/:(?=\d+$)/);
      const [next, flat] = (await connection.command('HSCAN', ofNode(name), position, 'COUNT', 200)) as [
        string,
        string[],
      ];
      const sessions = parsed(flat.filter((_, index) => index % 2 === 1)).filter(
        (session) => !isOver(session),
      );
      const following = next === '0' ? live.find((other) => other > name) : name;
      return { sessions, ...(following !== undefined && { cursor: `${following}:${next}` }) };
    },

    async find(session_id) {
      const found = await Promise.all(
        [...(await liveNodes())].map((name) => connection.command('HGET', ofNode(name), session_id)),
      );
      return parsed(found.filter((value) => value !== null)).find((session) => !isOver(session));
    },

    async close() {
      closed = true;
      clearInterval(renewal);
      // What is still on its way would call the node alive again.
      await Promise.allSettled([renewing, settled()]);
      await Promise.all([
        connection.command('ZREM', nodesKey, node),
        connection.command('DEL', ofNode(node)),
      ]).catch(() => {});
    },
  };
}
