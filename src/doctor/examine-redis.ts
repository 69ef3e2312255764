import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../config.ts';
import { BrokerError } from '../errors.ts';
import { inspectRedis } from '../store/inspection.ts';
import { checkRedisClock } from './checks/clocks.ts';
import { checkAccess } from './checks/redis-access.ts';
import { checkPassword, checkReach } from './checks/redis-reach.ts';
import { checkServer } from './checks/redis-server.ts';
import type { Known } from './examination.ts';
import { type Finding, redisStopped } from './finding.ts';

/**
 * @param opened closes the connection in the end
 * @returns what it is good for, where it is
 */
export async function* examineRedis(
  config: Config,
  url: string,
  now: () => number,
  opened: AsyncDisposableStack,
): AsyncGenerator<Finding, Partial<Known>> {
  const { redisTls: tls, KEY_PREFIX: prefix, REDIS_COMMAND_TIMEOUT: commandTimeout, TIERS, CHAT } = config;
  const redis = inspectRedis({
    url,
    tls,
    prefix,
    commandTimeout,
    chat: CHAT === 'on' && TIERS.has('ws'),
    node: `doctor-${hostname()}-${randomBytes(4).toString('hex')}`,
    now,
  });
  opened.defer(() => redis.close());

  let usable = true;
  const seen = (findings: Finding[]) => {
    // What else is wrong does not keep nodes from working, or cannot be told from here.
    const bad = ['redis', 'redis-info', 'redis-role', 'redis-commands'];
    usable &&= !findings.some(({ id, severity }) => severity === 'fault' && bad.includes(id));
    return findings;
  };
  try {
    yield* checkPassword(redis);
    yield* seen([await checkReach(redis)]);
    if (usable) yield* seen(await checkServer(redis, config));
    if (usable) yield* seen(await checkAccess(redis, config));
    if (!usable) return {};
    const { finding, aheadMs } = await checkRedisClock(redis, now);
    yield finding;
    return { redis, aheadMs };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    yield redisStopped('redis', error.reason);
    return {};
  }
}
