import { hostname } from 'node:os';
import type { BindIp } from '../address.ts';
import { recordDecisions } from '../decisions.ts';
import { pooledRandomBytes } from '../random.ts';
import { replayed, revoker, unasked } from '../revocations/revoke.ts';
import { openStore } from '../store/open.ts';
import type { RedisTls } from '../store/redis-client.ts';
import { presenter } from '../tickets/present.ts';
import { type Backing, type GateLog, retention } from './backing.ts';

/** Redeems in Redis, with no broker in between. What a broker reads from the environment has to be alike here. */
export interface RedisSource {
  /** As `REDIS_URL`. */
  redis: string;
  /** PEM, for `rediss:` where the system does not trust the server or the server asks for a certificate. */
  redisTls?: RedisTls;
  /** As `KEY_PREFIX`; default `wst:`. */
  keyPrefix?: string;
  /** As `REDIS_COMMAND_TIMEOUT`, in milliseconds; default 1000. */
  commandTimeout?: number;
  /** As `ATTEMPT_LIMIT`, 0 for none; default 10. */
  attemptLimit?: number;
  /** As `ATTEMPT_WINDOW`, in seconds; default 60. */
  attemptWindow?: number;
  /** As `ATTEMPT_COUNT`; default `failed`. */
  attemptCount?: 'failed' | 'all';
  /** As `BIND_IP`; default `off`. */
  bindIp?: BindIp;
  /** As `ON_REPLAY`; default `log`. */
  onReplay?: 'log' | 'close';
}

/** Seconds: what `SESSION_TTL` may be at most. A ticket's own end is in its record. */
const longestSession = 20 * 86_400;

/** Does not wait for Redis: until it is there, everybody is refused with 503. */
export function redisBacking(source: RedisSource, log: GateLog): Backing {
  const { redis: url, redisTls: tls, keyPrefix: prefix = 'wst:', commandTimeout = 1000 } = source;
  const { attemptLimit: limit = 10, attemptWindow = 60, attemptCount: counting = 'failed' } = source;
  const { bindIp = 'off', onReplay = 'log' } = source;
  // With none, openStore would keep an empty store of its own, where no ticket is.
  if (typeof url !== 'string')
    throw new TypeError(
      'redis must be a URL as REDIS_URL is: redis://…, rediss://…, redis+sentinel://… or redis+cluster://…',
    );
  const now = Date.now;
  const randomBytes = pooledRandomBytes();
  const node = `${hostname()}-${randomBytes(4).toString('hex')}`;
  const { store, feed, registry, close } = openStore({
    url,
    ...(tls && { tls }),
    prefix,
    commandTimeout,
    node,
    sessionTtl: longestSession,
    retention,
    now,
    log,
  });
  const revoke = revoker({ store, feed, registry, now });
  const revokeUnasked = unasked(revoke, recordDecisions({ decided() {} }), log);
  const present = presenter({
    store,
    now,
    randomBytes,
    sessionTtl: longestSession,
    attempts: limit === 0 ? undefined : { limit, windowMs: attemptWindow * 1000, counting },
    bindIp,
    feed,
    onReplay: replayed(onReplay, revokeUnasked, log),
  });
  return { present, feed, registry, node, close };
}
