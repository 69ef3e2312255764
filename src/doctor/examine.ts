import { type Config, ConfigFault, readConfig } from '../config.ts';
import type { VariableName } from '../variables.ts';
import { checkNodeClocks } from './checks/clocks.ts';
import { checkJwks } from './checks/jwks.ts';
import { checkSettings } from './checks/settings.ts';
import type { Examination, Known } from './examination.ts';
import { examineEntrance } from './examine-entrance.ts';
import { examineNodes } from './examine-nodes.ts';
import { examineRedis } from './examine-redis.ts';
import { type Finding, fault, skipped } from './finding.ts';

/** Looks at a deployment from the inside out, and tells what it finds as it finds it. */
export async function* examine(examination: Examination): AsyncGenerator<Finding> {
  const { env, doing, now } = examination;
  doing('reading the environment');
  const { config, findings } = settings(env);
  yield* findings;

  await using opened = new AsyncDisposableStack();
  const known: Known = { config, redis: undefined, aheadMs: 0, clocks: [] };
  if (config?.REDIS_URL) {
    doing('looking at Redis');
    Object.assign(known, yield* examineRedis(config, config.REDIS_URL, now, opened));
  } else {
    yield skipped(
      'redis',
      config
        ? 'There is no REDIS_URL here.'
        : 'The environment says nothing of it, or nothing that can be used.',
    );
  }
  if (config?.JWKS_URL) {
    doing('fetching the keys of the identity provider');
    yield* await checkJwks(config.JWKS_URL, fetch);
  }
  doing('asking the nodes');
  yield* examineNodes(examination, known);
  yield* examineEntrance(examination, known);
  yield checkNodeClocks(known.clocks);
}

/** Whether an environment is that of a broker: none is read from what every shell has, such as HOST. */
export function isOfBroker(env: NodeJS.ProcessEnv): boolean {
  const telling: VariableName[] = [
    'REDIS_URL',
    'JWT_SECRET',
    'JWT_PRIVATE_KEY',
    'JWKS_URL',
    'USERS_FILE',
    'TIERS',
  ];
  return telling.some((name) => env[name] || env[`${name}_FILE`]);
}

function settings(env: NodeJS.ProcessEnv): { config: Config | undefined; findings: Finding[] } {
  if (!isOfBroker(env)) {
    const why =
      'This is not the environment of `serve`: run it where a node runs, such as in a container of it.';
    return { config: undefined, findings: [skipped('config', why)] };
  }
  try {
    const config = readConfig(env);
    return { config, findings: checkSettings(config, env) };
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    const todo = 'Mend it: a broker refuses to start with it.';
    return { config: undefined, findings: error.faults.map((text) => fault('config', `${text}.`, todo)) };
  }
}
