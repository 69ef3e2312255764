import { createServer, type IncomingMessage } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import websocket from '@fastify/websocket';
import { BrokerError } from '../errors.ts';
import { refusalsOf } from '../http/refusal-schemas.ts';
import { HandshakeQuery } from '../http/schemas.ts';
import type { App } from '../http/type-provider.ts';
import type { LiveSockets } from '../sessions/live-sockets.ts';
import { type AdmissionOptions, admission } from './admission.ts';
import { selectProtocol } from './handshake.ts';
import { messageLimits } from './message-limits.ts';
import { sendAway } from './send-away.ts';
import { acceptUpgrades } from './upgrade.ts';

export interface GateRoutesOptions extends Omit<AdmissionOptions, 'log'> {
  sockets: LiveSockets;
  paths: readonly string[];
  /** `close`: a refusal opens the socket and closes it with a code, for browsers, which cannot read a status. */
  reject: 'http' | 'close';
  /** Milliseconds that a stopping process waits for its peers to close. */
  drainTimeout: number;
}

/** What `ws` itself would refuse to upgrade. */
const handshakeFaults: ReadonlySet<string> = new Set(['version', 'bad_handshake']);

/**
 * The WebSocket's own routes. Whoever is admitted is upgraded at once; a refusal goes on to Fastify, whose error handler
 * says it as it says all others, or, with `reject: 'close'`, to @fastify/websocket.
 */
export async function gateRoutes(app: App, options: GateRoutesOptions): Promise<void> {
  const { sockets, paths, reject, drainTimeout } = options;
  const refused = new WeakMap<IncomingMessage, unknown>();
  // Where @fastify/websocket waits for what the gate hands on. Never listens.
  const doorstep = createServer();

  await app.register(websocket, {
    options: { ...messageLimits, autoPong: false, handleProtocols: selectProtocol, server: doorstep },
    errorHandler: (error, _socket, request) => request.log.debug({ err: error }, 'socket error'),
    preClose: (done) => {
      // Refuse new connections now, so that a balancer tries elsewhere: while it drains, Fastify would answer for itself.
      app.server.close();
      const finish = async () => {
        await Promise.all([sockets.closeAll(drainTimeout), upgrades.stop()]);
        // What was admitted meanwhile becomes a socket, which is sent away and has a second to go.
        await nextTurn();
        const late = setTimeout(() => {
          for (const socket of app.websocketServer.clients) socket.terminate();
        }, 1000);
        app.websocketServer.close(() => {
          clearTimeout(late);
          done();
        });
      };
      void finish();
    },
  });
  const upgrades = acceptUpgrades({
    server: app.server,
    websocketServer: app.websocketServer,
    admission: admission({ ...options, log: app.log as AdmissionOptions['log'] }),
    sockets,
    log: app.log,
    refuse(refusal, request, socket, head) {
      refused.set(request, refusal);
      // Of a target that the router cannot read, it would answer for itself, and nobody end the connection.
      request.url = paths[0];
      doorstep.emit('upgrade', request, socket, head);
    },
  });

  for (const [index, url] of paths.entries()) {
    app.route({
      method: 'GET',
      url,
      exposeHeadRoute: false,
      schema: {
        hide: index > 0,
        operationId: 'connect',
        summary: 'Open the WebSocket with a ticket',
        description:
          'The ticket comes as the subprotocol `ticket.<ticket>` beside an application protocol, which the server selects, or as `?ticket=`; more than one is 400. `WS_ACCEPT` switches on others: `Authorization: Bearer <token>`, `?token=`, and the first message `{"type":"ticket_authenticate","ticket":…}` within 5 s (else 3008). A refusal is said before the upgrade; with `WS_REJECT=close`, as close code 1008 (refused) or 1013 (try again later), reason = error code.',
        tags: ['socket'],
        querystring: HandshakeQuery,
        response: {
          101: {
            description:
              'Switching protocols. The first message is `welcome`: `{type, session_id, sub, username, rooms?, context?, expires_in, message_limit?}`; `message_limit` is how many messages a second are taken. What is not taken is answered with `{type:"error", error}`, about the message and not the socket: `payload_too_large` (more than 4 KiB; above 64 KiB the socket is closed with 1009), `rate_limited`, `invalid_request`, `unknown_type`, `reserved_type`, `not_joined`, `too_many_rooms`, `room_forbidden`, `store_unavailable`, and what refuses a `session.refresh`, with `about`.',
            type: 'null',
          },
          ...refusalsOf(
            'invalid_ticket',
            'invalid_token',
            'token_revoked',
            'origin_forbidden',
            'binding_mismatch',
            'room_forbidden',
            'upgrade_required',
            'rate_limited',
            'store_unavailable',
            'idp_unavailable',
            'overloaded',
          ),
        },
      },
      // The gate reads the query itself: a ticket never gets as far as Fastify's validation.
      validatorCompiler: () => () => true,
      preValidation: async (request) => {
        if (!request.ws) return;
        const refusal = refused.get(request.raw);
        if (reject === 'http' || !(refusal instanceof BrokerError) || handshakeFaults.has(refusal.reason)) {
          throw refusal;
        }
      },
      handler: async () => {
        throw new BrokerError('upgrade_required');
      },
      wsHandler(socket, { raw }) {
        const { closeCode, code } = refused.get(raw) as BrokerError;
        sendAway(socket, closeCode, code);
      },
    });
  }
}
