import websocket from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import type { Decide } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import { carriedSecrets } from '../http/carried-secrets.ts';
import { clientAddress } from '../http/client-address.ts';
import { HandshakeQuery, refusalsOf } from '../http/schemas.ts';
import type { App } from '../http/type-provider.ts';
import type { LiveSockets } from '../sessions/live-sockets.ts';
import type { Session } from '../sessions/session.ts';
import type { Gate } from './gate.ts';
import { selectProtocol } from './handshake.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the gate said of this upgrade; null until it has. */
    admission: Session | BrokerError | null;
  }
}

export interface GateRoutesOptions {
  decide: Decide;
  gate: Gate;
  sockets: LiveSockets;
  paths: readonly string[];
  /** `close`: a refusal opens the socket and closes it with a code, for browsers, which cannot read a status. */
  reject: 'http' | 'close';
  /** 0 = no limit. */
  maxConnections: number;
  /** Milliseconds that a stopping process waits for its peers to close. */
  drainTimeout: number;
}

const maxPayload = 64 * 1024;

/** The WebSocket's own routes: the gate decides before the upgrade, so that a refusal is plain HTTP. */
export async function gateRoutes(app: App, options: GateRoutesOptions): Promise<void> {
  const { decide, gate, sockets, paths, reject, maxConnections, drainTimeout } = options;
  let connections = 0;

  app.decorateRequest('admission', null);
  await app.register(websocket, {
    options: { maxPayload, handleProtocols: selectProtocol },
    // `ws` has said why in a close frame, and drops the socket by itself: ending it here would lose the frame.
    errorHandler: (error, _socket, request) => request.log.debug({ err: error }, 'socket error'),
    preClose: (done) => {
      // Refuse new connections now, so that a balancer tries elsewhere: while it drains, Fastify would answer for itself.
      app.server.close();
      void sockets.closeAll(drainTimeout).finally(() => app.websocketServer.close(() => done()));
    },
  });

  /** Held from the handshake until the connection is gone, whatever becomes of it. */
  const takeSlot = (request: FastifyRequest) => {
    if (maxConnections > 0 && connections >= maxConnections) {
      throw new BrokerError('overloaded', { reason: 'max_connections' });
    }
    connections++;
    request.raw.socket.once('close', () => connections--);
  };

  const admit = (request: FastifyRequest): Promise<Session> => {
    const address = clientAddress(request);
    return decide(request.log, { decision: 'redeem', ip: address, via: 'ws' }, async (facts) => {
      takeSlot(request);
      const session = await gate.admit({
        headers: request.headers,
        tickets: carriedSecrets(request.raw).ticket,
        rooms: [(request.query as { room?: string | string[] }).room ?? []].flat(),
        address,
        host: request.host,
      });
      const { session_id, ticket_id, record } = session;
      Object.assign(facts, { sub: record.sub, ticket_id, session_id });
      return session;
    });
  };

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
          'The ticket comes as the subprotocol `ticket.<ticket>` beside an application protocol, which the server selects, or as `?ticket=`. A refusal is said before the upgrade; with `WS_REJECT=close`, as close code 1008 (refused) or 1013 (try again later), reason = error code.',
        tags: ['socket'],
        querystring: HandshakeQuery,
        response: {
          101: { description: 'Switching protocols. The first message is `welcome`.', type: 'null' },
          ...refusalsOf(
            'invalid_ticket',
            'origin_forbidden',
            'binding_mismatch',
            'room_forbidden',
            'upgrade_required',
            'rate_limited',
            'store_unavailable',
            'overloaded',
          ),
        },
      },
      // The gate reads the query itself: a ticket never gets as far as Fastify's validation.
      validatorCompiler: () => () => true,
      preValidation: async (request) => {
        if (!request.ws) return;
        request.admission = await admit(request).catch((error: unknown) => {
          if (reject === 'close' && error instanceof BrokerError && error.code !== 'upgrade_required')
            return error;
          throw error;
        });
      },
      handler: async () => {
        throw new BrokerError('upgrade_required');
      },
      wsHandler: (socket, request) => {
        const { admission } = request;
        if (admission instanceof BrokerError) socket.close(admission.closeCode, admission.code);
        else if (admission) {
          sockets.add(socket, admission, {
            ip: clientAddress(request),
            origin: request.headers.origin,
            via: 'ws',
          });
        }
      },
    });
  }
}
