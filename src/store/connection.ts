import { BrokerError } from '../errors.ts';
import { reasonOf, replied, translated } from './driver-errors.ts';
import {
  commandName,
  isCluster,
  openClient,
  type Redis,
  type RedisTls,
  reconnectDelay,
  type ScriptName,
} from './redis-client.ts';
import { parseRedisUrl } from './redis-url.ts';

/** An entry's id, and its only field's value. */
export type StreamEntry = [id: string, value: string];

export interface RedisConnection {
  /** Whether keys are spread over several primaries. */
  readonly sharded: boolean;
  /** Runs a script on keys of one slot. Rejects with `store_unavailable`, whatever went wrong. */
  run(script: ScriptName, keys: string | readonly string[], ...args: (string | number)[]): Promise<unknown[]>;
  /** Runs one command, whose first argument is its key. Rejects as `run` does. */
  command(name: string, key: string, ...args: (string | number)[]): Promise<unknown>;
  /** Runs a script, then waits until that many replicas have what it wrote. Answers how many have. */
  runAndWait(
    replicas: number,
    timeoutMs: number,
    ...call: Parameters<RedisConnection['run']>
  ): Promise<[answer: unknown[], replicas: number]>;
  /**
   * Entries of a stream after an id, oldest first, 1000 at most; waits for the first one, and occupies the connection
   * meanwhile, for `blockMs` at most. 0: does not wait.
   */
  readStream(stream: string, after: string, blockMs: number): Promise<StreamEntry[]>;
  /** The text of `INFO`, from every primary. Rejects as `run` does. */
  info(): Promise<string[]>;
  /** Tries what only a slot that is on the move asks for. Rejects as `run` does. */
  ask(): Promise<void>;
  /** The code that Redis answers our attempts to connect with, while it refuses them. */
  readonly refusal: string | undefined;
  /** Looks again for the primary: the one that we talk to is none any more. */
  relocate(): void;
  close(): Promise<void>;
}

/** Of a stream, that one read brings. */
export const mostEntries = 1000;

export interface ConnectOptions {
  url: string;
  tls?: RedisTls;
  /** Milliseconds after which a command that was sent counts as lost. */
  commandTimeout: number;
  /**
   * Called when the connection comes and goes, and once more for each reason why it does not come back. `reason` never
   * holds an address, a command or its arguments.
   */
  onState?: (state: 'connected' | 'disconnected', reason?: string) => void;
  /** Told how many seconds each call took, whatever came of it: a script's name, or a command's in small letters. */
  onCommand?: (name: string, seconds: number) => void;
}

/** What is not measured: it takes as long as nothing happens. */
const waiting = '';

/** Scripts and commands, on one connection that comes back by itself, with every error of the driver translated. */
export function connect({ url, tls, commandTimeout, onState, onCommand }: ConnectOptions): RedisConnection {
  const address = parseRedisUrl(url);
  const client = openClient({ address, tls, commandTimeout });

  let closed = false;
  let state: string | undefined;
  let lastReason: string | undefined;
  /** Connected, but in another database than ours. */
  let misplaced = false;
  /** What has been said of why it is gone: it is tried again several times a second. */
  const said = new Set<string>();
  const tell = (next: 'connected' | 'disconnected', reason?: string) => {
    if (next === 'connected') said.clear();
    // A lost connection closes first; why it does not come back is known by the next attempt.
    const isNews = state !== next || (reason !== undefined && !said.has(reason));
    if (reason !== undefined) said.add(reason);
    if (isNews && !closed) onState?.(next, reason);
    state = next;
    lastReason = next === 'connected' ? undefined : (reason ?? lastReason);
  };
  client.on('ready', async () => {
    // A cluster's nodes are connected to one by one, and until then refuse all calls but the first.
    if (isCluster(client)) await Promise.allSettled(client.nodes('master').map((node) => node.info()));
    if (client.status === 'ready' && !misplaced) tell('connected');
  });
  client.on('close', () => {
    misplaced = false;
    tell('disconnected');
  });
  client.on('error', (error) => {
    const reason = reasonOf(error);
    tell('disconnected', reason === 'ETIMEDOUT' && address.tls ? 'ETIMEDOUT (with TLS)' : reason);
    // ioredis would go on in database 0, where nobody looks for our tickets.
    if (error.command?.name === 'select' && !isCluster(client)) {
      misplaced = true;
      client.disconnect(true);
    }
  });
  client.on('+node', (node: Redis) => {
    if (!node.options.readOnly) node.connect().catch(() => {});
    // ioredis leaves this promise to itself: its rejection would end the process.
    const { asking } = node;
    node.asking = (...args: []) => {
      const answer = asking.apply(node, args);
      answer.catch(() => {});
      return answer;
    };
  });
  // ioredis gives up for good when a failover is announced while it is looking for the primary.
  client.on('end', () => {
    setTimeout(() => closed || client.connect().catch(() => {}), reconnectDelay(1));
  });

  const relocate = () => {
    if (isCluster(client)) client.refreshSlotsCache();
    else if (client.status === 'ready') client.disconnect(true);
  };
  const attempt = async <T>(name: string, call: () => Promise<T>): Promise<T> => {
    const from = performance.now();
    try {
      return await translated(call);
    } catch (error) {
      if (error instanceof BrokerError && error.reason === replied('READONLY')) relocate();
      throw error;
    } finally {
      if (name !== waiting) onCommand?.(name, (performance.now() - from) / 1000);
    }
  };

  return {
    sharded: address.mode === 'cluster',
    run(script, keys, ...args) {
      const command = Reflect.get(client, commandName(script)) as (...all: unknown[]) => Promise<unknown[]>;
      return attempt(script, () => command.call(client, ...counted(keys), ...args));
    },
    command(name, key, ...args) {
      return attempt(name.toLowerCase(), () => client.call(name, key, ...args.map(String)));
    },
    runAndWait(replicas, timeoutMs, script, keys, ...args) {
      return attempt(script, async () => {
        // One pipeline: on another connection, WAIT would speak of other writes.
        const pipeline = client.pipeline();
        const command = Reflect.get(pipeline, commandName(script)) as (...all: unknown[]) => typeof pipeline;
        const [ran, waited] =
          (await command
            .call(pipeline, ...counted(keys), ...args)
            .wait(replicas, timeoutMs)
            .exec()) ?? [];
        if (ran?.[0]) throw ran[0];
        const answer = ran?.[1] as unknown[];
        // A replica refuses to wait, and the script has answered what it is.
        if (waited?.[0] && answer[0] !== 'replica') throw waited[0];
        return [answer, Number(waited?.[1])];
      });
    },
    readStream(stream, after, blockMs) {
      return attempt(blockMs > 0 ? waiting : 'xread', async () => {
        const arrived =
          blockMs > 0
            ? await client.xread('COUNT', mostEntries, 'BLOCK', blockMs, 'STREAMS', stream, after)
            : await client.xread('COUNT', mostEntries, 'STREAMS', stream, after);
        const [, entries = []] = (arrived as [string, [string, string[]][]][] | null)?.[0] ?? [];
        return entries.map(([id, [, value = '']]) => [id, value]);
      });
    },
    info() {
      const nodes = isCluster(client) ? client.nodes('master') : [client];
      return attempt('info', () => Promise.all(nodes.map((node) => node.info())));
    },
    async ask() {
      if (isCluster(client)) {
        await attempt('asking', () => Promise.all(client.nodes('master').map((node) => node.asking())));
      }
    },
    get refusal() {
      return lastReason && /^(?:cluster: )?replied (\w+)$/.exec(lastReason)?.[1];
    },
    relocate,
    async close() {
      closed = true;
      client.disconnect();
    },
  };
}

/** A script's keys as EVAL wants them. */
function counted(keys: string | readonly string[]): (string | number)[] {
  return typeof keys === 'string' ? [1, keys] : [keys.length, ...keys];
}
