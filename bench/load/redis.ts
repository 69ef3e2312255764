import { randomBytes } from 'node:crypto';
import { connect, type RedisConnection } from '../../src/store/connection.ts';
import { recordToText } from '../../src/store/record-text.ts';
import { redisStore } from '../../src/store/redis.ts';
import type { Store } from '../../src/store/store.ts';
import type { TicketRecord } from '../../src/tickets/record.ts';
import { newSessionId, newTicket, ticketId } from '../../src/tickets/ticket.ts';
import type { LoadReport, RedisJob } from './jobs.ts';
import { Timing } from './timing.ts';
import { inParallel } from './workers.ts';

/** A way to keep tickets in Redis, over the product's own connection. */
interface Keeper {
  put(id: string, record: TicketRecord): Promise<boolean>;
  take(id: string): Promise<boolean>;
  /** Of the tickets that are outstanding. */
  ids: string[];
}

/** Long enough for every ticket to outlive the measurement. */
const ttlMs = 3_600_000;
const keepers = new Map<string, Promise<Keeper>>();

/** Puts tickets into Redis, or takes random ones of them out again. Remembers which are there until they are forgotten. */
export async function redisOperations(job: RedisJob): Promise<LoadReport> {
  const { url, keeper: name, operation, count, concurrency, rooms } = job;
  const key = `${name} ${url}`;
  if (!keepers.has(key)) keepers.set(key, open[name](url));
  const keeper = (await keepers.get(key)) as Keeper;
  if (operation === 'forget') keeper.ids = [];
  const work = operation === 'put' ? put : take;

  const timing = new Timing();
  if (operation !== 'forget') {
    await inParallel(count, concurrency, async () => {
      const startedAt = performance.now();
      await work(keeper, rooms);
      timing.finished(startedAt);
    });
  }
  return timing.report();
}

async function put(keeper: Keeper, rooms?: readonly string[]): Promise<void> {
  const id = ticketId(newTicket(randomBytes));
  const number = Math.floor(Math.random() * 1e6);
  const record = {
    sub: `user-${number}@example.com`,
    username: `User ${number}`,
    ...(rooms && { rooms }),
    auth_time: Date.now() / 1000,
    session_ttl: 3541.27,
  };
  if (!(await keeper.put(id, record))) throw new Error('a ticket was not stored');
  keeper.ids.push(id);
}

/** Any of them: those that were just put are still in the processor's caches. */
async function take({ ids, take }: Keeper): Promise<void> {
  const index = Math.floor(Math.random() * ids.length);
  const id = ids[index] ?? '';
  const last = ids.pop() ?? '';
  if (index < ids.length) ids[index] = last;
  if (!(await take(id))) throw new Error('a ticket was not there');
}

const open = {
  async product(url: string): Promise<Keeper> {
    const connection = await connected(url);
    const store: Store = redisStore({ connection, prefix: 'wst:', onFault: () => {} });
    return {
      ids: [],
      async put(id, record) {
        // The first one learns the tenure.
        for (let tries = 0; tries < 2; tries++) {
          if ((await store.put(id, record, ttlMs)) === 'stored') return true;
        }
        return false;
      },
      async take(id) {
        const { outcome } = await store.redeem(id, {
          sessionId: newSessionId(randomBytes),
          origin: 'https://app.example.com',
        });
        return outcome === 'redeemed';
      },
    };
  },

  async bare(url: string): Promise<Keeper> {
    const connection = await connected(url);
    return {
      ids: [],
      async put(id, record) {
        const text = recordToText(record);
        return (await connection.command('SET', `bare:${id}`, text, 'PX', ttlMs, 'NX')) === 'OK';
      },
      take: async (id) => (await connection.command('GETDEL', `bare:${id}`)) !== null,
    };
  },
};

function connected(url: string): Promise<RedisConnection> {
  return new Promise((resolve) => {
    const connection = connect({
      url,
      commandTimeout: 10_000,
      onState: (state) => state === 'connected' && resolve(connection),
    });
  });
}
