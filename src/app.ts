import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Audit } from './audit/audit.ts';
import type { Backplane } from './chat/backplane.ts';
import { createChat } from './chat/chat.ts';
import type { Config } from './config.ts';
import type { Credentials } from './credentials/open.ts';
import { recordDecisions, recordEnds } from './decisions.ts';
import { authenticator } from './http/authenticate.ts';
import { cookieToken } from './http/cookie-token.ts';
import { demoRoutes } from './http/demo.ts';
import { documentRoutes, jwksRoute } from './http/documents.ts';
import { registerLimits } from './http/limits.ts';
import { loginRoute } from './http/login.ts';
import { metricsRoute } from './http/metrics.ts';
import { collectOpenApi } from './http/openapi.ts';
import { operationsRoutes } from './http/operations.ts';
import { passwordLogin } from './http/password-login.ts';
import { redeemRoute } from './http/redeem.ts';
import { refreshing } from './http/refresh.ts';
import { revocationRoutes } from './http/revocations.ts';
import { createServer } from './http/server.ts';
import { sessionRoutes } from './http/sessions.ts';
import { socketUrlAt } from './http/socket-url.ts';
import { testTokenRoute } from './http/test-token.ts';
import { ticketRoutes } from './http/tickets.ts';
import { tokenRoute } from './http/token.ts';
import type { App } from './http/type-provider.ts';
import { verifyRoutes } from './http/verify.ts';
import type { Metrics } from './metrics.ts';
import type { RandomBytes } from './random.ts';
import type { Feed } from './revocations/feed.ts';
import { type Revoke, replayed, unasked } from './revocations/revoke.ts';
import { listedUntilTheEnd } from './sessions/listed-until.ts';
import { liveSessions } from './sessions/live-sessions.ts';
import { liveSockets } from './sessions/live-sockets.ts';
import type { Registry } from './sessions/registry.ts';
import { unrevoked } from './sessions/unrevoked.ts';
import type { Store } from './store/store.ts';
import { presenter } from './tickets/present.ts';
import { visitorReader } from './wire/forwarded.ts';
import { createGate } from './ws/gate.ts';
import { gateRoutes } from './ws/routes.ts';
import { sessionRefresh } from './ws/session-refresh.ts';
import { tokenSessions } from './ws/token-sessions.ts';

export interface AppDeps {
  config: Config;
  store: Store;
  feed: Feed;
  registry: Registry;
  revoke: Revoke;
  /** The rooms of the chat; undefined: no chat. */
  backplane?: Backplane | undefined;
  /** The name of this process in the registry. */
  node: string;
  credentials: Credentials;
  log: Logger;
  metrics: Metrics;
  /** Absent: no audit is kept. */
  audit?: Audit;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomBytes: RandomBytes;
  /** Collects the OpenAPI document from the routes, instead of serving the one that was collected. */
  collectRoutes?: boolean;
}

/** Puts the whole service together, top to bottom. Reads no environment, opens nothing, listens to nothing. */
export async function buildApp(deps: AppDeps): Promise<App> {
  const { config, store, feed, registry, revoke, node, credentials, log, metrics, now, randomBytes } = deps;
  const { audit, backplane, collectRoutes = false } = deps;
  const app = await createServer(config, log);
  const decide = recordDecisions(metrics, audit);
  const revokeUnasked = unasked(revoke, decide, log);
  if (collectRoutes) await collectOpenApi(app);
  operationsRoutes(app, { store, feed });
  const authenticate = authenticator(credentials, feed);
  if (config.METRICS_PORT === undefined) metricsRoute(app, { authenticate, metrics });

  const standing = unrevoked(registry, feed);
  const list = listedUntilTheEnd({ registry, node, now, log });
  const attempts =
    config.ATTEMPT_LIMIT === 0
      ? undefined
      : {
          limit: config.ATTEMPT_LIMIT,
          windowMs: config.ATTEMPT_WINDOW * 1000,
          counting: config.ATTEMPT_COUNT,
        };
  const present = presenter({
    store,
    now,
    randomBytes,
    sessionTtl: config.SESSION_TTL,
    attempts,
    bindIp: config.BIND_IP,
    feed,
    onReplay: replayed(config.ON_REPLAY, revokeUnasked, log),
  });

  if (config.TIERS.has('http')) {
    await registerLimits(app, { store, window: config.ATTEMPT_WINDOW });
    const login = passwordLogin(app, { credentials, decide, loginLimit: config.LOGIN_LIMIT });
    loginRoute(app, login);
    const refresh = refreshing(app, { credentials, decide, refreshLimit: config.MINT_LIMIT });
    await app.register(tokenRoute, { login, refresh });
    const socketUrl = socketUrlAt(config.PUBLIC_WS_URL, config.WS_PATH[0] ?? '/ws');
    const cookie = cookieToken({ name: config.AUTH_COOKIE, allowedOrigins: config.allowedOrigins });
    ticketRoutes(app, {
      authenticate,
      authenticateMint: authenticator(credentials, feed, cookie),
      decide,
      store,
      now,
      randomBytes,
      ticketTtl: config.TICKET_TTL,
      ticketTtlMax: config.TICKET_TTL_MAX,
      sessionTtl: config.SESSION_TTL,
      mintLimit: config.MINT_LIMIT,
      bindIp: config.BIND_IP,
      socketUrl,
    });
    redeemRoute(app, {
      authenticate,
      decide,
      present,
      list,
      bindIp: config.BIND_IP,
    });
    revocationRoutes(app, { authenticate, decide, revoke, feed, now });
    sessionRoutes(app, {
      authenticate,
      decide,
      revoke,
      registry: standing,
      loginLimit: config.LOGIN_LIMIT,
      now,
    });
    jwksRoute(app, credentials.jwks);
    if (credentials.testToken) {
      const { testToken } = credentials;
      testTokenRoute(app, { testToken, decide, loginLimit: config.LOGIN_LIMIT, now });
      const keptIn = config.REDIS_URL ? 'Redis' : 'Memory';
      await demoRoutes(app, { store, registry, keptIn, socketUrl, mintLimit: config.MINT_LIMIT });
    }
    if (!collectRoutes) await documentRoutes(app);
  }

  if (config.TIERS.has('ws')) {
    const visitor = visitorReader(config.trustedProxies);
    await app.register(verifyRoutes, {
      decide,
      present,
      list,
      visitor,
      allowedOrigins: config.allowedOrigins,
      audience: config.WS_AUDIENCE,
      uriHeader: config.VERIFY_URI_HEADER,
      requestIdHeader: config.VERIFY_REQUEST_ID_HEADER,
      preset: config.VERIFY_HEADERS,
      bindIp: config.BIND_IP,
      assert: credentials.assert,
    });
    const gate = createGate({
      present,
      tokenSession: tokenSessions({
        authenticate: credentials.authenticate,
        store,
        feed,
        attempts,
        sessionTtl: config.SESSION_TTL,
        now,
        randomBytes,
      }),
      accept: config.WS_ACCEPT,
      allowedOrigins: config.allowedOrigins,
      audience: config.WS_AUDIENCE,
    });
    const sessions = liveSessions({
      now,
      log,
      recordEnd: recordEnds(audit),
      feed,
      registry: standing,
      node,
      maxPerSubject: config.MAX_SESSIONS_PER_SUB,
      async endSessions(listed) {
        for (const { session_id } of listed) await revokeUnasked({ session_id }, 'too many sessions');
      },
    });
    const refresh = sessionRefresh({ decide, log, gate, bindIp: config.BIND_IP });
    const sockets = liveSockets({
      now,
      log,
      metrics,
      sessions,
      refresh,
      enter: backplane && createChat({ backplane, now, randomUUID, log }),
      messageLimit: config.MESSAGE_LIMIT,
    });
    await gateRoutes(app, {
      decide,
      gate,
      visitor,
      sockets,
      paths: config.WS_PATH,
      reject: config.WS_REJECT,
      maxConnections: config.MAX_CONNECTIONS,
      bindIp: config.BIND_IP,
      drainTimeout: config.DRAIN_TIMEOUT * 1000,
    });
  }
  return app;
}
