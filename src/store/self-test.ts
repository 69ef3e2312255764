import { randomBytes } from 'node:crypto';
import type { TicketRecord } from '../tickets/record.ts';
import { newTicket, ticketId } from '../tickets/ticket.ts';
import type { RedisConnection } from './connection.ts';
import { replyIn } from './driver-errors.ts';
import type { Store } from './store.ts';

/** What a self-test tries of a store. */
export type TriedStore = Pick<Store, 'put' | 'redeem' | 'revoke' | 'count' | 'roomsOf'>;

/**
 * What this Redis lacks, in one sentence; undefined when it is as it must be.
 *
 * @throws BrokerError `store_unavailable` when it cannot be asked
 */
export async function faultOfRedis(
  connection: RedisConnection,
  store: TriedStore,
  prefix: string,
): Promise<string | undefined> {
  const primaries = await connection.info().catch(refusal);
  if (!Array.isArray(primaries)) {
    return primaries.code === 'NOPERM'
      ? 'The Redis user may not run INFO: grant it +info.'
      : refuses(primaries.code);
  }
  for (const info of primaries) {
    const fault = faultIn(info);
    if (fault) return fault;
  }
  const commands = Promise.all([
    liveOnce(store),
    shareOnce(connection, `${prefix}self-test`),
    connection.ask(),
  ]);
  const refused = await commands.catch(refusal);
  if (Array.isArray(refused)) return undefined;
  return refused.code === 'NOPERM'
    ? 'The Redis user may not run our scripts or a command in them: grant what docs/guarantees.md lists.'
    : refuses(refused.code);
}

function refuses(code: string): string {
  return `Redis refuses our commands (${code}).`;
}

/** Something in which a Redis is not what we need. */
export interface Unfit {
  in: 'version' | 'role' | 'eviction';
  wrong: string;
  remedy: string;
}

/** The first thing that the text of `INFO` tells to be wrong, in one sentence. */
export function faultIn(info: string): string | undefined {
  const [first] = unfitIn(info);
  return first && `${first.wrong}: ${first.remedy}.`;
}

/** All that the text of `INFO` tells to be wrong. */
export function unfitIn(info: string): Unfit[] {
  const field = (name: string) => infoField(info, name);
  const unfit: Unfit[] = [];

  const valkey = field('valkey_version');
  const version = valkey ?? field('redis_version') ?? '0';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (!valkey && (major < 6 || (major === 6 && minor < 2))) {
    const wrong = `Redis ${version} is too old`;
    unfit.push({ in: 'version', wrong, remedy: '6.2 is needed, for GETDEL' });
  }
  if (field('role') !== 'master') {
    const wrong = 'This Redis is a read-only replica';
    unfit.push({ in: 'role', wrong, remedy: 'give the address of its primary' });
  }
  const policy = field('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    const wrong = `Redis may evict keys (maxmemory-policy ${policy})`;
    unfit.push({
      in: 'eviction',
      wrong,
      remedy: 'set noeviction, or tickets and counters may vanish early',
    });
  }
  return unfit;
}

/** A line of `INFO`. */
export function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/** One ticket through everything that is done to tickets, so that each command has been allowed once. */
async function liveOnce(store: TriedStore): Promise<void> {
  const record: TicketRecord = { sub: 'self-test', username: 'self-test', auth_time: 0, session_ttl: 1 };
  let id = ticketId(newTicket(randomBytes));
  // The first try may only learn the tenure, and the second has another primary in Cluster: one of many is stored.
  for (let tries = 0; tries < 200 && (await store.put(id, record, 1000)) !== 'stored'; tries++) {
    id = ticketId(newTicket(randomBytes));
  }
  await store.redeem(id, { sessionId: 'self-test' });
  await store.revoke(id, 'holder');
  await store.count(`self-test:${id}`, 1000);
  await store.roomsOf(`self-test:${id}`, undefined);
}

/** Milliseconds that keys stay where a later command is refused. */
const leftMs = 10_000;

/** Each command that the feed, the registry and the sets of rooms need, once, on keys that are gone again at once. */
async function shareOnce(connection: RedisConnection, name: string): Promise<void> {
  const id = newTicket(randomBytes).slice(4, 12);
  const [hash, set, stream, pulse] = ['hash', 'set', 'stream', 'pulse'].map(
    (kind) => `${name}:${kind}:${id}`,
  ) as [string, string, string, string];
  await connection.run('enlist', hash, 'field', 'value', 1000);
  await connection.command('HGET', hash, 'field');
  await connection.command('HVALS', hash);
  await connection.command('HSCAN', hash, '0');
  await connection.command('HDEL', hash, 'field');
  await connection.run('enlist', hash, 'field', '', 0);
  await connection.run('lease', set, 1, name);
  await connection.command('PEXPIRE', set, leftMs);

  await connection.command('ZREM', set, name);
  await connection.command('SMISMEMBER', set, 'room');
  await connection.command('SMEMBERS', set);
  await connection.run('pulse', pulse, 1);
  const [answer] = await connection.runAndWait(0, 1, 'publish', stream, 1000, '{"rid":"self-test"}');
  await connection.command('PEXPIRE', stream, leftMs);
  await connection.readStream(stream, '0-0', 0);
  await connection.run('restore', stream, String(answer[1]), '0-0');
  await connection.command('DEL', stream);
}

/** What Redis itself refused with; anything else is thrown on. */
function refusal(error: unknown): { code: string } {
  const code = replyIn(error);
  if (code === undefined) throw error;
  return { code };
}
