import { repeatedly } from '../repeatedly.ts';
import { isHeldElsewhere, type ListedSession, type Registry } from '../sessions/registry.ts';
import { slices } from '../slices.ts';
import type { RedisConnection } from './connection.ts';
import { enlisting } from './enlisting.ts';
import type { RegistryHashes } from './registry-hashes.ts';
import { Removals } from './removals.ts';
import { infoField } from './self-test.ts';

export interface HeldSessionsOptions {
  connection: RedisConnection;
  hashes: RegistryHashes;
  /** The name of this process, unlike that of any other. */
  node: string;
  /** The longest a session can last, in seconds. */
  sessionTtl: number;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Milliseconds after which a silent node's sessions are gone. */
  leaseMs: number;
}

/** The sessions that this node has listed. */
export interface HeldSessions extends Pick<Registry, 'add' | 'remove'> {
  has(session_id: string): boolean;
  /** Resolves once what has been added or removed until now is written, or has failed. */
  settled(): Promise<void>;
  /** Renews this node's lease, and answers all nodes whose lease is good, itself included. */
  liveNodes(): Promise<Set<string>>;
  /** Looks now, and not only with the next lease, whether Redis has what is held. */
  renew(): void;
  /** Says nothing any more. */
  stop(): Promise<void>;
}

/** Seconds of which the sessions that are held elsewhere end together. */
const hour = 3600;
/** Sessions that are said again together, so that the tickets of others do not wait behind all of them. */
const saidTogether = 1000;

/** Keeps this node's part of the registry true, also to a Redis that could not be reached, was emptied, or failed over. */
export function heldSessions(options: HeldSessionsOptions): HeldSessions {
  const { connection, hashes, node, sessionTtl, now, leaseMs } = options;
  const own = hashes.ofNode(node);
  const held = new Map<string, ListedSession>();
  /** Those of them whose writing has not succeeded yet. */
  const unwritten = new Set<string>();
  const removals = new Removals();
  /** The places that Redis knows to be alive. */
  const announced = new Set<string>();
  /** The tenures of the primaries that have all of what is held; undefined: they may lack some. */
  let complete: string | undefined;
  let stopped = false;
  /** When the last lease that was answered was asked for, by `performance.now()`. */
  let leased = Number.NEGATIVE_INFINITY;

  const liveNodes = async () => {
    const asked = performance.now();
    const answer = await connection.run('lease', hashes.nodes, leaseMs, node);
    const [entered, live] = answer as [number, string[]];
    // While we had no lease, others may have swept our sessions away. Nothing else shows it: one that was added since makes
    // the hash again, and a renewal whose answer was lost the lease.
    if (entered === 1 || performance.now() - leased >= leaseMs) complete = undefined;
    // Where our own lease is gone, others may be.
    if (entered === 1) announced.clear();
    leased = asked;
    return new Set(live);
  };
  // The lease first, each time: others sweep away what belongs to a node without one, and Redis may have been emptied just now.
  const { enter, settled } = enlisting(connection, liveNodes);

  /** Where a session is listed: with this node or, held elsewhere, with those of all nodes that end in the same hour. */
  const placeOf = (session: ListedSession) => {
    if (!isHeldElsewhere(session)) return { name: node, ttlMs: leaseMs };
    const end = Math.ceil(session.exp / hour) * hour;
    return { name: `elsewhere-until-${end}`, ttlMs: end * 1000 - now() };
  };
  const announce = async ({ name, ttlMs }: ReturnType<typeof placeOf>) => {
    if (name === node || announced.has(name)) return;
    await connection.run('lease', hashes.nodes, ttlMs, name);
    announced.add(name);
  };

  const write = async (session: ListedSession) => {
    const { session_id, sub } = session;
    unwritten.add(session_id);
    removals.undo(session_id);
    const json = JSON.stringify(session);
    const place = placeOf(session);
    const entered = enter(
      { key: hashes.ofNode(place.name), session_id, json, ttlMs: place.ttlMs },
      // No session outlives this one's whole span.
      { key: hashes.forSubject(sub), session_id, json, ttlMs: sessionTtl * 1000 },
    );
    await entered;
    await announce(place);
    // It may go on under another end by now, and that not be written yet.
    if (held.get(session_id) === session) unwritten.delete(session_id);
  };

  const takeOut = async (session_id: string, keys: readonly string[]) => {
    removals.begin(session_id, keys);
    await enter(...keys.map((key) => ({ key, session_id, json: '', ttlMs: 0 })));
    removals.succeed(session_id, keys);
  };

  /** What is held is written again, what has gone is taken out again, all of it as far as that can be done. */
  const sayAgain = async (session_ids: readonly string[]) => {
    let failed: PromiseRejectedResult | undefined;
    for (const some of slices(session_ids, saidTogether)) {
      if (stopped) return;
      // All of it may take longer than the lease.
      await connection.command('PEXPIRE', own, leaseMs);
      const said = some.map((session_id) => {
        const [session, keys] = [held.get(session_id), removals.pendingOf(session_id)];
        if (session) return write(session);
        return keys && takeOut(session_id, keys);
      });
      const outcomes = await Promise.allSettled(said);
      failed ??= outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
    }
    if (failed) throw failed.reason;
  };

  /** Takes out what this node is said to hold, and does not. */
  const takeOutStrays = async () => {
    let position = '0';
    do {
      const { sessions, next } = await hashes.some(own, position);
      const strays = sessions.filter(({ session_id }) => !held.has(session_id));
      await Promise.all(
        strays.map(({ session_id, sub }) => takeOut(session_id, [own, hashes.forSubject(sub)])),
      );
      position = next;
    } while (position !== '0' && !stopped);
  };

  /** To a replica that was promoted: it may lack what was added last, and still have what was removed last. */
  const sayAll = async () => {
    // In Cluster, what has come back may be in the hash of its subject only.
    removals.repeatLately();
    await takeOutStrays();
    announced.clear();
    await sayAgain([...held.keys(), ...removals.pending()]);
  };

  const renew = async () => {
    await liveNodes();
    const kept = await connection.command('PEXPIRE', own, leaseMs);
    if (kept === 0 && [...held.values()].some((session) => !isHeldElsewhere(session))) complete = undefined;
    // In Cluster, that a primary is away is no reason not to look at the others.
    await sayAgain([...removals.pending(), ...unwritten]).catch(() => {});
    const tenures = (await connection.info()).map((text) => infoField(text, 'master_replid'));
    const current = tenures.sort().join();
    if (current !== complete) {
      // Not afterwards: what is learnt meanwhile, that some of it has been lost again, counts.
      complete = current;
      await sayAll().catch((error: unknown) => {
        complete = undefined;
        throw error;
      });
    }
    removals.turn();
  };
  // One that says everything again may take longer than the time to the next.
  const renewal = repeatedly(leaseMs / 3, renew);

  return {
    async add(session) {
      held.set(session.session_id, session);
      await write(session);
    },

    async remove({ session_id, sub }) {
      const session = held.get(session_id);
      held.delete(session_id);
      unwritten.delete(session_id);
      const listed = session ? hashes.ofNode(placeOf(session).name) : own;
      await takeOut(session_id, [listed, hashes.forSubject(sub)]);
    },

    has: (session_id) => held.has(session_id),
    settled,
    liveNodes,
    renew: renewal.now,

    async stop() {
      stopped = true;
      await Promise.all([renewal.stop(), settled()]);
    },
  };
}
