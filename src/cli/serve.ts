import { hostname } from 'node:os';
import closeWithGrace from 'close-with-grace';
import { Command } from 'commander';
import { buildApp } from '../app.ts';
import { readConfig, retentionOf } from '../config.ts';
import { openCredentials } from '../credentials/open.ts';
import { revokeRemovedUsers } from '../credentials/removed-users.ts';
import { serveMetrics } from '../http/metrics-server.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import { pooledRandomBytes } from '../random.ts';
import { revoker } from '../revocations/revoke.ts';
import { openStore } from '../store/open.ts';
import { demoUsers, tellDemo, warnOfDemo } from './demo.ts';
import { environmentHelp } from './environment-help.ts';

export function serveCommand(): Command {
  return new Command('serve')
    .description('run the broker; configured by the environment')
    .addHelpText('after', environmentHelp)
    .action(serve);
}

async function serve(): Promise<void> {
  const started = new AsyncDisposableStack();
  try {
    await start(started);
  } catch (error) {
    // Whatever was started would keep a process alive that serves nothing.
    await started.disposeAsync();
    throw error;
  }
}

async function start(started: AsyncDisposableStack): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger(config.LOG_LEVEL);
  const now = Date.now;
  const randomBytes = pooledRandomBytes();
  const demo = config.demoAlone ? await demoUsers(randomBytes) : undefined;
  const node = `${hostname()}-${randomBytes(4).toString('hex')}`;

  const opened = openStore({
    url: config.REDIS_URL,
    tls: config.redisTls,
    prefix: config.KEY_PREFIX,
    commandTimeout: config.REDIS_COMMAND_TIMEOUT,
    node,
    sessionTtl: config.SESSION_TTL,
    retention: retentionOf(config),
    now,
    log,
  });
  started.defer(() => opened.close());
  const { families, feed } = opened;
  const revoke = revoker({ ...opened, now });
  const credentials = await openCredentials({
    config,
    now,
    randomBytes,
    fetch,
    families,
    feed,
    revoke,
    ...(demo && { demoUsers: demo.users }),
    onFault: (variable, err) =>
      log.error({ err }, `${variable} has changed and cannot be used: keeping the last`),
  });
  const { fileUsers: users } = credentials;
  if (users) started.defer(revokeRemovedUsers({ users, revoke, now }));

  const metrics = createMetrics({ ofProcess: config.METRICS_PORT !== undefined });
  if (config.METRICS_PORT !== undefined) {
    started.defer(await serveMetrics(metrics, config.HOST, config.METRICS_PORT));
  }
  const chat = config.CHAT === 'on' && config.TIERS.has('ws');
  const backplane = chat ? opened.openBackplane({ history: config.CHAT_HISTORY }) : undefined;
  if (backplane) started.defer(() => backplane.close());
  const app = await buildApp({
    config,
    ...opened,
    backplane,
    revoke,
    node,
    credentials,
    log,
    metrics,
    now,
    randomBytes,
  });
  started.defer(() => app.close());

  const url = await app.listen({
    host: config.HOST,
    port: config.PORT,
    listenTextResolver: (at) => `bound to ${at}`,
  });
  closeWithGrace({ delay: (config.DRAIN_TIMEOUT + 5) * 1000, logger: log }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'stopping after an unexpected error');
    else log.info({ signal }, 'stopping');
    await started.disposeAsync();
  });
  log.info({ url, tiers: [...config.TIERS], store: config.REDIS_URL ? 'redis' : 'memory' }, 'listening');
  if (config.demo && config.TIERS.has('http')) warnOfDemo(log, config.demoAlone);
  if (demo) tellDemo(url, demo.password);
}
