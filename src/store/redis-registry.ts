import { setTimeout as sleep } from 'node:timers/promises';
import type { ListedSession, Registry } from '../sessions/registry.ts';
import type { RedisConnection } from './connection.ts';

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

/** One line of the registry: a session in one of its two hashes, or, with no text, its removal. */
interface Entry {
  key: string;
  session_id: string;
  json: string;
  ttlMs: number;
}

/** Milliseconds that entries wait for others: nobody waits for them. */
const gatherMs = 5;
/** Entries in one script, so that none keeps Redis from others for long. */
const atOnce = 400;

/**
 * The registry that all nodes share. `sessions-of:<node>` holds a node's sessions and expires with its lease;
 * `sessions-for:<sub>` finds those of a subject without asking every node; `nodes` tells whose lease is good, and what a dead
 * node has left in a subject's hash is passed over and swept when it is met.
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

  /** Who asks is alive: the answer always holds this node. */
  const liveNodes = async () => new Set((await connection.run('lease', nodesKey, leaseMs, node)) as string[]);

  let waiting: Entry[] = [];
  let sending: Promise<void> | undefined;
  let underWay: Promise<unknown> = Promise.resolve();
  /** Writes what has come together meanwhile, once the write before it is over. */
  const send = async () => {
    await Promise.allSettled([underWay, sleep(gatherMs)]);
    const entries = waiting;
    waiting = [];
    underWay = sending ?? underWay;
    sending = undefined;
    // The lease first: others sweep away what belongs to a node without one.
    await liveNodes();
    // In Cluster, every key is on a primary of its own.
    const together = Map.groupBy(entries, ({ key }, index) =>
      connection.sharded ? key : Math.floor(index / atOnce),
    );
    await Promise.all([...together.values()].map(enlist));
  };
  const enlist = (entries: Entry[]) => {
    const args = entries.flatMap(({ session_id, json, ttlMs }) => [session_id, json, ttlMs]);
    const keys = entries.map(({ key }) => key);
    return connection.run('enlist', keys, ...args);
  };
  const enter = (...entries: Entry[]): Promise<void> => {
    waiting.push(...entries);
    sending ??= send();
    return sending;
  };

  const write = async (session: ListedSession) => {
    const { session_id, sub } = session;
    unwritten.add(session_id);
    const json = JSON.stringify(session);
    await enter(
      { key: ofNode(node), session_id, json, ttlMs: leaseMs },
      // No session outlives this one's whole span.
      { key: forSubject(sub), session_id, json, ttlMs: sessionTtl * 1000 },
    );
    unwritten.delete(session_id);
  };

  const renew = async () => {
    await liveNodes();
    const kept = await connection.command('PEXPIRE', ofNode(node), leaseMs);
    const lacking = [...held.values()].filter(({ session_id }) => kept === 0 || unwritten.has(session_id));
    await Promise.all(lacking.map(write));
  };
  const renewal = setInterval(() => void renew().catch(() => {}), leaseMs / 3).unref();

  const parsed = (values: unknown) => (values as string[]).map((value) => JSON.parse(value) as ListedSession);

  const ofSubject = async (sub: string) => {
    const [live, values] = await Promise.all([liveNodes(), connection.command('HVALS', forSubject(sub))]);
    const all = parsed(values);
    const gone = all.filter((session) => !live.has(session.node) || session.exp * 1000 <= now());
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
      await enter(
        { key: ofNode(node), session_id, json: '', ttlMs: 0 },
        { key: forSubject(sub), session_id, json: '', ttlMs: 0 },
      );
    },

    ofSubject,

    async page(cursor = '') {
      const live = [...(await liveNodes())].sort();
      const [name = live[0] ?? '', position = '0'] = cursor === '' ? [] : cursor.split(/:(?=\d+$)/);
      const [next, flat] = (await connection.command('HSCAN', ofNode(name), position, 'COUNT', 200)) as [
        string,
        string[],
      ];
      const sessions = parsed(flat.filter((_, index) => index % 2 === 1));
      const following = next === '0' ? live.find((other) => other > name) : name;
      return { sessions, ...(following !== undefined && { cursor: `${following}:${next}` }) };
    },

    async find(session_id) {
      const found = await Promise.all(
        [...(await liveNodes())].map((name) => connection.command('HGET', ofNode(name), session_id)),
      );
      return parsed(found.filter((value) => value !== null))[0];
    },

    async close() {
      clearInterval(renewal);
      // What is still on its way would call the node alive again.
      await Promise.allSettled([sending, underWay]);
      await Promise.all([
        connection.command('ZREM', nodesKey, node),
        connection.command('DEL', ofNode(node)),
      ]).catch(() => {});
    },
  };
}
