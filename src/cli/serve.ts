import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import closeWithGrace from 'close-with-grace';
import { Command } from 'commander';
import { buildApp } from '../app.ts';
import { ConfigFault, readConfig, retentionOf } from '../config.ts';
import { openCredentials } from '../credentials/open.ts';
import { serveMetrics } from '../http/metrics-server.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import { openStore } from '../store/open.ts';
import { demoUsers, tellDemo } from './demo.ts';
import { environmentHelp } from './environment-help.ts';

export function serveCommand(): Command {
  return new Command('serve')
    .description('run the broker; configured by the environment')
    .addHelpText('after', environmentHelp)
    .action(serve);
}

async function serve(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger(config.LOG_LEVEL);
  const now = Date.now;
  const demo = config.demo ? await demoUsers(randomBytes) : undefined;
  const credentials = await openCredentials({
    config,
    now,
    randomBytes,
    fetch,
    ...(demo && { demoUsers: demo.users }),
    onFault: (variable, err) =>
      log.error({ err }, `${variable} has changed and cannot be used: keeping the last`),
  }).catch((error: Error) => {
    throw new ConfigFault([`a credentials file cannot be used: ${error.message}`]);
  });
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
  const metrics = createMetrics();
  const app = await buildApp({ config, ...opened, node, credentials, log, metrics, now, randomBytes });

  const { METRICS_PORT } = config;
  const stopMetrics =
    METRICS_PORT === undefined ? undefined : await serveMetrics(metrics, config.HOST, METRICS_PORT);

  closeWithGrace({ delay: (config.DRAIN_TIMEOUT + 5) * 1000, logger: log }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'stopping after an unexpected error');
    else log.info({ signal }, 'stopping');
    await app.close();
    await opened.close();
    await stopMetrics?.();
  });

  const url = await app.listen({
    host: config.HOST,
    port: config.PORT,
    listenTextResolver: (at) => `bound to ${at}`,
  });
  log.info({ url, tiers: [...config.TIERS], store: config.REDIS_URL ? 'redis' : 'memory' }, 'listening');
  if (demo) tellDemo(url, demo.password);
}
