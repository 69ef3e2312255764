import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { connect } from '../../src/store/connection.ts';
import { memoryStore } from '../../src/store/memory.ts';
import { redisStore } from '../../src/store/redis.ts';
import type { Store } from '../../src/store/store.ts';
import { mint } from '../../src/tickets/mint.ts';
import { misfit, type TicketRecord } from '../../src/tickets/record.ts';
import { aClaim, aRecord } from '../support/records.ts';
import type { RedisServer } from '../support/redis-server.ts';
import {
  command,
  cutReplicas,
  inSync,
  promote,
  replicate,
  startNode,
  until,
} from '../support/redis-topologies.ts';

/** Chosen once, so that every run of the suite tries the same; a failure prints it together with its steps. */
const seed = 20_260_117;
const shortTtlMs = 200;

/** Two nodes of the broker, `0` and `1`; on Redis, each has a server of the same number. */
type Which = 0 | 1;

type Step =
  | { do: 'mint'; node: Which; bound: boolean; short: boolean }
  | { do: 'redeem'; ticket: number; node: Which; fits: boolean; times: number }
  | { do: 'revoke'; ticket: number; node: Which }
  | { do: 'expire' }
  | { do: Fault; server: Which };

/** `save`: writes its snapshot. `crash`: killed and started from its last snapshot. `promote`: from replica to primary,
 * while the old primary goes on. `follow`: becomes the other's replica. `cut`: the other's replica, but left behind. */
type Fault = 'save' | 'crash' | 'promote' | 'follow' | 'cut';

const failback = [
  ['promote', 1],
  ['follow', 0],
  ['promote', 0],
] as const;

const which = fc.constantFrom<Which[]>(0, 1);
const calls: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('mint'), node: which, bound: fc.boolean(), short: oneIn(6) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('redeem'),
      ticket: fc.nat(4),
      node: which,
      fits: fc.boolean(),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('revoke'), ticket: fc.nat(4), node: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire') }) },
];
const fault = (name: Fault, weight: number): fc.WeightedArbitrary<Step> => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(name), server: which }),
});
const faults = [
  fault('save', 2),
  fault('crash', 1),
  fault('promote', 2),
  fault('follow', 2),
  fault('cut', 2),
];

function oneIn(times: number): fc.Arbitrary<boolean> {
  return fc.nat(times - 1).map((value) => value === 0);
}

function steps(...of: fc.WeightedArbitrary<Step>[]): fc.Arbitrary<Step[]> {
  return fc.array(fc.oneof(...of), { minLength: 8, maxLength: 30, size: 'max' });
}

/** What the steps are done to. */
interface World {
  nodes: readonly [Store, Store];
  /** Waits until tickets with a short life are over. */
  expire(): Promise<void>;
  /** Answers whether it was possible; after it, the nodes whose server is a primary work. */
  suffer(fault: Fault, server: Which): Promise<boolean>;
  /** Whether calls on this node can be answered. */
  answers(node: Which): boolean;
  /** Names the store that this node has now: tickets of one era may be refused in any other. */
  era(node: Which): string;
}

/** What is known of a ticket without asking the store. */
interface Known {
  id: string;
  record: TicketRecord;
  short: boolean;
  era: string;
  /** Why it must not be accepted any more. */
  over?: 'accepted' | 'revoked' | 'expired';
}

/**
 * Does the steps and holds every answer against the promise: a ticket is accepted at most once, and never when it is
 * revoked, expired or presented where it does not fit. Where nothing has happened since its mint, it is accepted.
 */
async function keepsThePromise(world: World, todo: readonly Step[]): Promise<void> {
  const tickets: Known[] = [];

  const redeem = async (ticket: Known, node: Which, fits: boolean, times: number) => {
    const claim = { aud: fits ? 'chat' : 'games' };
    const fresh = !ticket.over && !ticket.short && ticket.era === world.era(node) && world.answers(node);
    const asked = Array.from({ length: times }, () => world.nodes[node].redeem(ticket.id, aClaim(claim)));
    const answers = await Promise.allSettled(asked);
    const accepted = answers.filter(
      (answer) => answer.status === 'fulfilled' && answer.value.outcome === 'redeemed',
    ).length;
    const why = ticket.over ?? misfit(ticket.record, aClaim(claim));
    if (why && accepted > 0) throw new Error(`accepted, although ${why}`);
    if (accepted > 1) throw new Error('accepted, although accepted at the same time');
    if (!why && fresh && accepted === 0)
      throw new Error(`refused, although fresh: ${JSON.stringify(answers)}`);
    if (accepted > 0) ticket.over = 'accepted';
  };

  for (const step of todo) {
    const ticket =
      'ticket' in step ? tickets.at(-1 - (step.ticket % Math.max(tickets.length, 1))) : undefined;
    if (step.do === 'mint') {
      if (!world.answers(step.node)) continue;
      const record = aRecord(step.bound ? { aud: 'chat' } : {});
      const store = world.nodes[step.node];
      const { ticket_id } = await mint({ store, randomBytes }, record, step.short ? shortTtlMs / 1000 : 300);
      tickets.push({ id: ticket_id, record, short: step.short, era: world.era(step.node) });
    } else if (step.do === 'redeem') {
      if (ticket) await redeem(ticket, step.node, step.fits, step.times);
    } else if (step.do === 'revoke') {
      if (!ticket || !world.answers(step.node)) continue;
      const { outcome } = await world.nodes[step.node].revoke(ticket.id, 'holder');
      // Two primaries at once know nothing of each other: what counts is what the ticket's own was told.
      if (outcome === 'revoked' && ticket.era === world.era(step.node)) ticket.over ??= 'revoked';
    } else if (step.do === 'expire') {
      await world.expire();
      for (const known of tickets) if (known.short) known.over ??= 'expired';
    } else {
      await world.suffer(step.do, step.server);
    }
  }
  // Whatever has happened, the hardest at last: there and back again. Then everything is presented everywhere once more.
  for (const [fault, server] of failback) await world.suffer(fault, server);
  for (const ticket of tickets) for (const node of [0, 1, 0] as const) await redeem(ticket, node, true, 2);
}

test('the embedded store keeps the promise, whatever is asked of it', async () => {
  let now = 1_700_000_000_000;
  const property = fc.asyncProperty(steps(...calls), async (todo) => {
    const store = memoryStore({ now: () => now });
    await keepsThePromise(
      {
        nodes: [store, store],
        async expire() {
          now += shortTtlMs + 1;
        },
        suffer: async () => false,
        answers: () => true,
        era: () => 'the only one',
      },
      todo,
    );
    await store.close();
  });
  await fc.assert(property, { seed, numRuns: 500 });
}, 60_000);

describe('on Redis', () => {
  let servers: [RedisServer, RedisServer];
  const roles: ['primary' | 'replica', 'primary' | 'replica'] = ['primary', 'primary'];
  const eras: [number, number] = [0, 0];
  beforeAll(async () => {
    servers = [await startNode(), await startNode()];
  });
  afterAll(() => Promise.all((servers ?? []).map((server) => server.dispose())));

  const follow = async (server: Which) => {
    const other = (1 - server) as Which;
    await command(servers[other], 'ACL', 'SETUSER', 'replicator', 'on');
    await replicate(servers[server], servers[other]);
    roles[server] = 'replica';
    // A first replica gives its primary a new tenure too.
    eras[0]++;
    eras[1]++;
  };

  const suffer = async (fault: Fault, server: Which): Promise<boolean> => {
    const other = (1 - server) as Which;
    const isReplica = roles[server] === 'replica';
    switch (fault) {
      case 'save':
        // Refused while the server writes one for its replica.
        await until('the snapshot', () => command(servers[server], 'SAVE').then(() => true), 10);
        return true;
      case 'crash':
        await servers[server].stop('SIGKILL');
        await servers[server].restart();
        // The server's own part in the replication was never written down: it comes back as a primary.
        roles[server] = 'primary';
        if (roles[other] === 'replica') await inSync(servers[other], servers[server]);
        eras[server]++;
        return true;
      case 'promote':
        if (!isReplica) return false;
        await promote(servers[server]);
        roles[server] = 'primary';
        eras[server]++;
        return true;
      case 'follow':
        if (roles[other] === 'replica') return false;
        await follow(server);
        return true;
      case 'cut':
        if (!isReplica) return false;
        await cutReplicas(servers[other]);
        return true;
    }
  };

  /** The property, over two nodes that have their store from `open`. */
  const promiseOf = (nodes: readonly [Store, Store]) => {
    const settled = async () => {
      for (const node of [0, 1] as const) {
        if (roles[node] === 'replica') continue;
        await until('the node to work', () => nodes[node].check().then(() => true), 10);
      }
    };
    return fc.asyncProperty(steps(...calls, ...faults), async (todo) => {
      if (roles[0] === 'replica') await suffer('promote', 0);
      await follow(1);
      await settled();
      const world: World = {
        nodes,
        expire: () => sleep(shortTtlMs + 20),
        async suffer(fault, server) {
          const happened = await suffer(fault, server);
          if (happened) await settled();
          return happened;
        },
        answers: (node) => roles[node] === 'primary',
        era: (node) => `${node}.${eras[node]}`,
      };
      await keepsThePromise(world, todo);
    });
  };

  const open = ({ url }: RedisServer): Store => {
    const connection = connect({ url, commandTimeout: 2000 });
    return redisStore({ connection, prefix: 'model:', onFault: () => {} });
  };

  test('the store keeps the promise through crashes, stale restarts, promotions and split brains', async () => {
    const nodes = [open(servers[0]), open(servers[1])] as const;
    await fc.assert(promiseOf(nodes), { seed, numRuns: 30, endOnFailure: true });
    await Promise.all(nodes.map((node) => node.close()));
  }, 120_000);

  // The control: what everybody writes first. If the model finds nothing here, it finds nothing.
  test('a bare GETDEL does not', async () => {
    const nodes = [bareGetdel(servers[0].url), bareGetdel(servers[1].url)] as const;
    const { failed, numRuns, errorInstance } = await fc.check(promiseOf(nodes), {
      seed,
      numRuns: 30,
      endOnFailure: true,
    });
    await Promise.all(nodes.map((node) => node.close()));
    expect(failed).toBe(true);
    expect(String(errorInstance)).toMatch(/^Error: accepted, although (accepted|revoked)$/);
    expect(numRuns).toBeLessThan(30);
  }, 120_000);
});

/** A store that relies on GETDEL alone, and otherwise does what ours does. */
function bareGetdel(url: string): Store {
  // With the client's own patience: a control that fails for want of a connection shows nothing.
  const redis = new Redis(url, { retryStrategy: () => 100 });
  redis.on('error', () => {});
  const key = (id: string) => `bare:${id}`;
  const unavailable = () => new BrokerError('store_unavailable');
  const guarded = <T>(call: Promise<T>): Promise<T> =>
    call.catch(() => {
      throw unavailable();
    });
  return {
    put: async (id, record, ttlMs) => {
      await guarded(redis.set(key(id), JSON.stringify(record), 'PX', ttlMs));
      return 'stored';
    },
    redeem: async (id, claim) => {
      const seen = await guarded(redis.get(key(id)));
      const wrong = seen && misfit(JSON.parse(seen), claim);
      if (wrong) return { outcome: 'misfit', misfit: wrong };
      const taken = await guarded(redis.getdel(key(id)));
      if (!taken) return { outcome: 'unknown' };
      const { sessionId } = claim;
      return { outcome: 'redeemed', record: JSON.parse(taken), sessionId, ageMs: 0, at: Date.now() };
    },
    revoke: async (id) =>
      (await guarded(redis.del(key(id)))) ? { outcome: 'revoked' } : { outcome: 'unknown' },
    fateOf: async (id) => ({
      outcome: (await guarded(redis.get(key(id)))) ? 'unused' : 'unknown',
    }),
    count: () => Promise.reject(unavailable()),
    counted: () => Promise.reject(unavailable()),
    roomsOf: async () => 'any',
    check: async () => {
      if (!(await guarded(redis.info('replication'))).includes('role:master')) throw unavailable();
    },
    close: async () => redis.disconnect(),
  };
}
