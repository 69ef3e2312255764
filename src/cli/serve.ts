import { hostname } from 'node:os';
import closeWithGrace from 'close-with-grace';
import { buildApp } from '../app.ts';
import { readConfig, retentionOf } from '../config.ts';
import { openCredentials } from '../credentials/open.ts';
import { revokeRemovedUsers } from '../credentials/removed-users.ts';
import { recordDecisions } from '../decisions.ts';
import { serveMetrics } from '../http/metrics-server.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import { pooledRandomBytes } from '../random.ts';
import { revoker, unasked } from '../revocations/revoke.ts';
import { openStore } from '../store/open.ts';
import { version } from '../version.ts';
import { auditOf } from './audit.ts';
import { demoUsers, tellDemo, warnOfDemo } from './demo.ts';

/** Runs the broker until it is told to stop. @throws ConfigFault, or what keeps it from listening */
export async function serve(): Promise<void> {
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
  for (const text of config.misspelt) log.warn(text);
  const now = Date.now;
  const randomBytes = pooledRandomBytes();
  const issuesTokens = config.USERS_FILE !== undefined || config.demo;
  if (issuesTokens && !config.JWT_SECRET && !config.JWT_PRIVATE_KEY && !config.REDIS_URL) {
    log.warn(
      'JWT_SECRET is unset: tokens are signed with a random secret and are lost when this process ends',
    );
  }
  const demo = config.demoAlone ? await demoUsers(randomBytes) : undefined;
  const node = `${hostname()}-${randomBytes(4).toString('hex')}`;
  const metrics = createMetrics();
  const onLost = metrics.auditLost;
  const audit = auditOf({ where: config.AUDIT_LOG, log, onLost, started, node, now });

  const retention = retentionOf(config);
  const opened = openStore({
    url: config.REDIS_URL,
    tls: config.redisTls,
    prefix: config.KEY_PREFIX,
    commandTimeout: config.REDIS_COMMAND_TIMEOUT,
    node,
    sessionTtl: config.SESSION_TTL,
    retention,
    // Other tiers are not told how long a login lasts.
    ...(config.TIERS.has('http') && { dropAfter: retention }),
    now,
    log,
    onCommand: metrics.commandTook,
  });
  metrics.watch({ ...opened, tiers: config.TIERS, files: config });
  started.defer(() => opened.close());
  const { families, feed } = opened;
  const revoke = revoker({ ...opened, now });
  const revokeUnasked = unasked(revoke, recordDecisions(metrics, audit), log);
  const credentials = await openCredentials({
    config,
    now,
    randomBytes,
    fetch,
    families,
    feed,
    revoke: revokeUnasked,
    ...(demo && { demoUsers: demo.users }),
    onFault: (variable, err) =>
      log.error({ err }, `${variable} has changed and cannot be used: keeping the last`),
  });
  const { fileUsers: users } = credentials;
  if (users) started.defer(revokeRemovedUsers({ users, revoke: revokeUnasked, now }));

  const metricsServer =
    config.METRICS_PORT === undefined
      ? undefined
      : await serveMetrics(metrics, config.HOST, config.METRICS_PORT).catch(nameOf('METRICS_PORT'));
  if (metricsServer) started.defer(metricsServer.stop);
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
    ...(audit && { audit }),
    now,
    randomBytes,
  });
  started.defer(() => app.close());

  const url = await app
    .listen({ host: config.HOST, port: config.PORT, listenTextResolver: (at) => `bound to ${at}` })
    .catch(nameOf('PORT'));
  // Where the audit is a file, this signal is for it.
  const skip: closeWithGrace.AllEvents[] = process.listenerCount('SIGHUP') > 0 ? ['SIGHUP'] : [];
  closeWithGrace({ delay: (config.DRAIN_TIMEOUT + 5) * 1000, logger: log, skip }, async ({ signal, err }) => {
    if (err) log.fatal({ err }, 'stopping after an unexpected error');
    else log.info({ signal }, 'stopping');
    await started.disposeAsync();
  });
  log.info(
    {
      url,
      version,
      ...(metricsServer && { metrics_port: metricsServer.port }),
      tiers: [...config.TIERS],
      store: config.REDIS_URL ? 'redis' : 'memory',
    },
    'listening',
  );
  if (config.demo && config.TIERS.has('http')) warnOfDemo(log, config.demoAlone);
  if (demo) tellDemo(url, demo.password);
}

/** Says which variable chose an address that cannot be had. */
function nameOf(port: 'PORT' | 'METRICS_PORT'): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const { code = '', syscall = '' } = error;
    if (syscall === 'getaddrinfo' || code === 'EADDRNOTAVAIL') throw new Error(`HOST: ${error.message}`);
    throw syscall === 'listen' ? new Error(`${port}: ${error.message}`) : error;
  };
}
