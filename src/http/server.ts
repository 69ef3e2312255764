import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { BrokerError } from '../errors.ts';
import { withoutSecrets } from '../wire/carried-secrets.ts';
import { refuse, refuseClient, registerRefusals } from './refusals.ts';
import { limitHeaders } from './schemas.ts';
import type { App } from './type-provider.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** For `onRequest` of what takes much until it has been read: hangs up where the connection is still to be given another answer. */
    unlessOwing(request: FastifyRequest, reply: FastifyReply): Promise<void>;
  }
  interface FastifyContextConfig {
    /** Without @fastify/cors, which knows this and does not declare it. */
    cors?: false;
  }
}

/** Answers that a connection may ask for before it has had the first (RFC 9112 9.3.2): each may hold a file, or a place in a line. */
const mostOwed = 32;

/** Fastify as it is set up here, with all that holds for every route and with no route yet. */
export async function createServer(config: Config, log: Logger): Promise<App> {
  /** How many answers a connection is still to be given. */
  const owed = new WeakMap<object, number>();
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    trustProxy: config.trustedProxies.length > 0 ? [...config.trustedProxies] : false,
    rewriteUrl: withoutSecrets,
    frameworkErrors: (error, request, reply) => void refuse(error, request, reply),
    clientErrorHandler: refuseClient,
    return503OnClosing: false,
    // Fastify times its closing, too, and it is done with only when the last peer is.
    pluginTimeout: (config.DRAIN_TIMEOUT + 10) * 1000,
    bodyLimit: 16 * 1024,
    // For who neither says nor reads anything: far longer than an answer may take.
    connectionTimeout: 6 * (config.HANDSHAKE_TIMEOUT * 1000 + config.REDIS_COMMAND_TIMEOUT),
    requestTimeout: config.HANDSHAKE_TIMEOUT * 1000,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    http: {
      maxHeaderSize: 8 * 1024,
      headersTimeout: config.HANDSHAKE_TIMEOUT * 1000,
      connectionsCheckingInterval: 1000,
      // A proxy may forward `Upgrade` with any request, and `curl --http2` sends it: only the gate's is meant.
      shouldUpgradeCallback: ({ method, url = '', headers, httpVersion, socket }) =>
        method === 'GET' &&
        httpVersion === '1.1' &&
        // It would come in the middle of the WebSocket's frames.
        !owed.get(socket) &&
        headers.upgrade?.toLowerCase() === 'websocket' &&
        config.TIERS.has('ws') &&
        config.WS_PATH.includes(pathOf(url)),
    },
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as App;

  app.server.on('request', ({ socket }, response) => {
    const owing = (owed.get(socket) ?? 0) + 1;
    owed.set(socket, owing);
    if (owing > mostOwed) socket.destroy();
    response.once('close', () => owed.set(socket, (owed.get(socket) ?? 0) - 1));
  });
  // Who waits for us is not silent: a password, or the line before it, may take longer.
  app.server.on('timeout', (socket: Socket) => {
    if ((owed.get(socket) ?? 0) > 0 && socket.writableLength === 0) socket.setTimeout(app.server.timeout);
    else socket.destroy();
  });
  app.decorate('unlessOwing', async ({ raw }: FastifyRequest, reply: FastifyReply) => {
    if ((owed.get(raw.socket) ?? 0) <= 1) return;
    // Or Fastify would go on to the handler.
    reply.hijack();
    raw.socket.destroy();
  });
  registerRefusals(app);
  let stopping = false;
  app.addHook('preClose', async () => {
    stopping = true;
    // Connections that have not said anything yet are not idle to Node, and nobody times them out any more.
    setTimeout(() => app.server.closeAllConnections(), config.DRAIN_TIMEOUT * 1000).unref();
  });
  // Not earlier: @fastify/websocket has to know the request, or nobody closes the connection after the refusal.
  app.addHook('preParsing', async () => {
    if (stopping) throw new BrokerError('overloaded', { reason: 'stopping' });
  });
  app.addHook('onRequest', async ({ headers }, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    // `curl -d ''` calls nothing a form, and `fetch` a text.
    if (headers['content-length'] === '0') delete headers['content-type'];
  });
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined);
    return app.getDefaultJsonParser('error', 'error')(request, String(body), done);
  });
  if (config.allowedOrigins) {
    await app.register(cors, {
      origin: config.allowedOrigins === '*' ? '*' : [...config.allowedOrigins],
      methods: ['GET', 'POST', 'DELETE'],
      strictPreflight: false,
      // So that a page may send the cookie, and read the answer.
      credentials: config.AUTH_COOKIE !== undefined,
      exposedHeaders: ['Retry-After', ...Object.keys(limitHeaders)],
    });
  }
  return app;
}

/** @param target as in the request line: in absolute form, too (RFC 9112 3.2.2) */
function pathOf(target: string): string {
  return target.replace(/^https?:\/\/[^/?]+/i, '').split('?', 1)[0] ?? '';
}
