import { Redis } from 'ioredis';
import { BrokerError } from '../errors.ts';
import { countedScript, countScript, mintScript, redeemScript, revokeScript } from './scripts.ts';

const scripts = {
  mint: mintScript,
  redeem: redeemScript,
  revoke: revokeScript,
  count: countScript,
  counted: countedScript,
};

export type ScriptName = keyof typeof scripts;

export interface RedisConnection {
  /** Runs a script on one key. Rejects with `store_unavailable`, whatever went wrong. */
  run(script: ScriptName, key: string, ...args: (string | number)[]): Promise<unknown[]>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  url: string;
  /** Milliseconds after which a command that was sent counts as lost. */
  commandTimeout: number;
  /** Called when the connection comes and goes; `reason` never holds an address, a command or its arguments. */
  onState?: (state: 'connected' | 'disconnected', reason?: string) => void;
}

/**
 * The only place that knows ioredis. Nothing is queued while there is no connection and nothing is ever sent twice: a
 * redemption that was repeated behind our back would find its own tombstone, and a mint would outlive its tenure.
 */
export function connect({ url, commandTimeout, onState }: ConnectOptions): RedisConnection {
  const client = new Redis(url, {
    scripts: Object.fromEntries(
      Object.entries(scripts).map(([name, lua]) => [scriptCommand(name), { lua, numberOfKeys: 1 }]),
    ),
    commandTimeout,
    connectTimeout: commandTimeout,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(attempt * 50, 250),
    connectionName: 'ticket-broker',
  });

  let state: string | undefined;
  const tell = (next: 'connected' | 'disconnected', reason?: string) => {
    if (state !== next) onState?.(next, reason);
    state = next;
  };
  client.on('ready', () => tell('connected'));
  client.on('close', () => tell('disconnected'));
  client.on('error', (error) => tell('disconnected', reasonOf(error)));

  return {
    async run(script, key, ...args) {
      try {
        const command = Reflect.get(client, scriptCommand(script)) as (
          ...all: unknown[]
        ) => Promise<unknown[]>;
        return await command.call(client, key, ...args);
      } catch (error) {
        throw storeUnavailable(error);
      }
    },
    async close() {
      client.disconnect();
    },
  };
}

const scriptCommand = (name: string) => `wst_${name}`;

// A driver's error carries the command with its arguments, and a server's may quote them: only its kind goes on.
function storeUnavailable(error: unknown): BrokerError {
  return new BrokerError('store_unavailable', { reason: `store: ${reasonOf(error)}` });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as NodeJS.ErrnoException;
  if (code) return code;
  if (error.message === 'Command timed out') return 'timeout';
  const serverCode = error.name === 'ReplyError' && /^[A-Z]+(?= )/.exec(error.message);
  return serverCode ? serverCode[0] : error.name;
}
