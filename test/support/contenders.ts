import { randomBytes } from 'node:crypto';
import { Cluster, Redis } from 'ioredis';
import type { BrokerError } from '../../src/errors.ts';
import { createLogger } from '../../src/logger.ts';
import { openStore } from '../../src/store/open.ts';
import { parseRedisUrl } from '../../src/store/redis-url.ts';
import { mint } from '../../src/tickets/mint.ts';
import { aClaim, aRecord, aTicketId } from './records.ts';

/** A way to keep single-use tickets in Redis: ours, or one that others use and that a fault must be able to break. */
export interface Contender {
  name: ContenderName;
  /** The new ticket's id; rejects when there is none. */
  mint(): Promise<string>;
  /** `opened`, or why not. */
  redeem(id: string): Promise<string>;
  close(): Promise<void>;
}

export const contenderNames = ['product', 'bare GETDEL', 'run_id', 'run_id per connection'] as const;
export type ContenderName = (typeof contenderNames)[number];

/** Seconds; longer than any scenario, so that no ticket is refused for its age. */
const ttl = 300;

const makers: Record<ContenderName, (url: string) => Contender> = {
  product,
  'bare GETDEL': bareGetdel,
  run_id: runId,
  'run_id per connection': runIdPerConnection,
};

export function contend(name: ContenderName, url: string): Contender {
  return makers[name](url);
}

/** The product's own store, as `serve` opens it. */
function product(url: string): Contender {
  const { store, close } = openStore({
    url,
    prefix: 'wst:',
    commandTimeout: 1000,
    node: `contender-${aTicketId()}`,
    sessionTtl: 3600,
    retention: 3_600_000,
    now: Date.now,
    log: createLogger('silent'),
  });
  return {
    name: 'product',
    async mint() {
      return (await mint({ store, randomBytes }, aRecord(), ttl)).ticket_id;
    },
    async redeem(id) {
      try {
        const { outcome } = await store.redeem(id, aClaim());
        return outcome === 'redeemed' ? 'opened' : outcome;
      } catch (error) {
        return (error as BrokerError).code;
      }
    },
    close,
  };
}

/** What tutorials do: SET, GETDEL, and the client's own defaults. */
function bareGetdel(url: string): Contender {
  const client = clientFor(url);
  const key = (id: string) => `bare:{${id.charAt(0)}}:${id}`;
  return {
    name: 'bare GETDEL',
    async mint() {
      const id = aTicketId();
      await client.set(key(id), 'ticket', 'EX', ttl, 'NX');
      return id;
    },
    async redeem(id) {
      return opened(() => client.getdel(key(id)));
    },
    close: async () => client.disconnect(),
  };
}

/** A fence by the server process: closes restarts, not a failback to the same process. */
function runId(url: string): Contender {
  const client = clientFor(url);
  const key = (id: string) => `runid:{${id.charAt(0)}}:${id}`;
  const current = `local run_id = redis.call('INFO', 'server'):match('run_id:(%x+)')\n`;
  const mintScript = `${current} return redis.call('SET', KEYS[1], run_id, 'EX', ARGV[1], 'NX')`;
  const redeemScript = `${current} if redis.call('GET', KEYS[1]) ~= run_id then return false end
    return redis.call('GETDEL', KEYS[1])`;
  return {
    name: 'run_id',
    async mint() {
      const id = aTicketId();
      await client.eval(mintScript, 1, key(id), ttl);
      return id;
    },
    async redeem(id) {
      return opened(() => client.eval(redeemScript, 1, key(id)));
    },
    close: async () => client.disconnect(),
  };
}

/** The same, asking each connection once for its server's run_id. */
function runIdPerConnection(url: string): Contender {
  const client = clientFor(url) as Redis;
  const key = (id: string) => `runid-once:${id}`;
  let known: Promise<string> | undefined;
  client.on('close', () => {
    known = undefined;
  });
  const serverId = () => {
    known ??= client.info('server').then((info) => /run_id:(\w+)/.exec(info)?.[1] ?? '');
    return known;
  };
  return {
    name: 'run_id per connection',
    async mint() {
      const id = aTicketId();
      await client.set(key(id), await serverId(), 'EX', ttl, 'NX');
      return id;
    },
    async redeem(id) {
      return opened(async () => (await client.getdel(key(id))) === (await serverId()));
    },
    close: async () => client.disconnect(),
  };
}

async function opened(take: () => Promise<unknown>): Promise<string> {
  try {
    return (await take()) ? 'opened' : 'refused';
  } catch {
    return 'error';
  }
}

function clientFor(url: string): Redis | Cluster {
  const { mode, nodes, name } = parseRedisUrl(url);
  const client =
    mode === 'cluster'
      ? new Cluster([...nodes])
      : new Redis(mode === 'sentinel' ? { sentinels: [...nodes], name } : nodes[0]);
  client.on('error', () => {});
  return client;
}
