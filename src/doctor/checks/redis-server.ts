import type { Config } from '../../config.ts';
import { BrokerError } from '../../errors.ts';
import type { Inspection } from '../../store/inspection.ts';
import { fullestOf, shareOf } from '../../store/redis-memory.ts';
import { infoField, type Unfit, unfitIn } from '../../store/self-test.ts';
import { type Finding, fault, ok, warning } from '../finding.ts';

/** What Redis tells of itself. */
export async function checkServer(redis: Inspection, config: Config): Promise<Finding[]> {
  let primaries: string[];
  try {
    primaries = await redis.info();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return [fault('redis-info', `Redis does not tell its state (${error.reason}).`, 'Grant our user +info.')];
  }
  const unfit = primaries.flatMap(unfitIn);
  const version = [...new Set(primaries.map(versionIn))].join(', ');
  return [
    judge('redis-version', unfit, 'version', `It is ${version}.`),
    judge('redis-role', unfit, 'role', 'It is a primary.'),
    judge('redis-eviction', unfit, 'eviction', 'Nothing is evicted.'),
    checkMemory(primaries),
    checkPersistence(primaries, config),
    checkReplicas(primaries, redis),
  ];
}

function versionIn(info: string): string {
  const valkey = infoField(info, 'valkey_version');
  return valkey ? `Valkey ${valkey}` : `Redis ${infoField(info, 'redis_version')}`;
}

function judge(id: string, unfit: readonly Unfit[], what: Unfit['in'], fine: string): Finding {
  const found = unfit.find((one) => one.in === what);
  return found ? fault(id, `${found.wrong}.`, sentence(found.remedy)) : ok(id, fine);
}

function checkMemory(primaries: readonly string[]): Finding {
  const memory = fullestOf(primaries);
  const fullest = memory ? shareOf(memory) : 0;
  const percent = `${Math.round(fullest * 100)} % of maxmemory in use`;
  if (fullest < 0.8) return ok('redis-memory', fullest > 0 ? `${percent}.` : 'There is room.');
  return warning(
    'redis-memory',
    `Redis is nearly full: ${percent}; when it is, no ticket is minted and nothing revoked.`,
    'Raise maxmemory, or see what else is kept there.',
  );
}

/** Tickets do not depend on the disk; logins, revocations and sets of rooms do. */
function checkPersistence(primaries: readonly string[], { TIERS, USERS_FILE }: Config): Finding {
  const id = 'redis-persistence';
  const is = (name: string, value: string) => primaries.some((info) => infoField(info, name) === value);
  if (is('aof_last_write_status', 'err') || is('rdb_last_bgsave_status', 'err')) {
    return fault(
      id,
      'Redis could not write to its disk, and may refuse all that is written to it.',
      'See its log; a full disk is the usual reason.',
    );
  }
  if (!is('aof_enabled', '0')) return ok(id, 'It keeps an append-only file.');
  const logins = TIERS.has('http') && USERS_FILE ? 'everybody has to log in again, and ' : '';
  return warning(
    id,
    `Redis keeps no append-only file: when it has restarted, ${logins}a user whose set of rooms is lost may enter any room.`,
    'Set appendonly yes, appendfsync everysec.',
  );
}

function checkReplicas(primaries: readonly string[], { address }: Inspection): Finding {
  const id = 'redis-replicas';
  const counts = primaries.map((info) => Number(infoField(info, 'connected_slaves') ?? 0));
  const lagging = primaries.flatMap((info) =>
    [...info.matchAll(/^slave\d+:.*?state=(\w+).*?lag=(\d+)/gm)].filter(
      ([, state, lag]) => state !== 'online' || Number(lag) > 10,
    ),
  );
  if (lagging.length > 0) {
    return warning(
      id,
      `${lagging.length} of its replicas lag behind: what they have not heard is lost if they take over.`,
      'See their logs, and the network between them.',
    );
  }
  const least = Math.min(...counts);
  if (least === 0 && address.mode !== 'single') {
    return warning(
      id,
      'A primary has no replica: nobody can take over from it.',
      'Start one, or see why it does not connect.',
    );
  }
  const sum = counts.reduce((before, count) => before + count, 0);
  const all = `${sum} ${sum === 1 ? 'replica' : 'replicas'}`;
  return ok(id, sum === 0 ? 'It has no replica.' : `${all}, none of them behind.`);
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
