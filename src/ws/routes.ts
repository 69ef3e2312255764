import { setImmediate as nextTurn } from 'node:timers/promises';
import websocket from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { BindIp } from '../address.ts';
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
  bindIp: BindIp;
  /** Milliseconds that a stopping process waits for its peers to close. */
  drainTimeout: number;
}

const maxPayload = 64 * 1024;
const leavingLimit = 1000;
/** What `ws` itself would refuse to upgrade. */
const handshakeFaults: ReadonlySet<string> = new Set(['version', 'bad_handshake']);

/** The WebSocket's own routes: the gate decides before the upgrade, so that a refusal is plain HTTP. */
export async function gateRoutes(app: App, options: GateRoutesOptions): Promise<void> {
  const { decide, gate, sockets, paths, reject, maxConnections, bindIp, drainTimeout } = options;
  let connections = 0;
  /** Admissions that are not decided yet. */
  const underWay = new Set<Promise<unknown>>();

  app.decorateRequest('admission', null);
  await app.register(websocket, {
    options: { maxPayload, handleProtocols: selectProtocol },
    // `ws` has said why in a close frame, and drops the socket by itself: ending it here would lose the frame.
    errorHandler: (error, _socket, request) => request.log.debug({ err: error }, 'socket error'),
    preClose: (done) => {
      // Refuse new connections now, so that a balancer tries elsewhere: while it drains, Fastify would answer for itself.
      app.server.close();
      const finish = async () => {
        await Promise.all([sockets.closeAll(drainTimeout), Promise.allSettled(underWay)]);
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

  /** Held from the handshake until it is refused or its connection is gone. @returns what gives it back, once */
  const takeSlot = (request: FastifyRequest): (() => void) => {
    if (maxConnections > 0 && connections >= maxConnections) {
      throw new BrokerError('overloaded', { reason: 'max_connections' });
    }
    connections++;
    let held = true;
    const giveBack = () => {
      if (held) connections--;
      held = false;
    };
    request.raw.socket.once('close', giveBack);
    return giveBack;
  };

  /** A refused peer is told why and has a second to go; a crowd of them is not waited for. */
  let leaving = 0;
  const sendAway = (socket: WebSocket, { closeCode, code }: BrokerError) => {
    if (leaving >= leavingLimit) {
      socket.terminate();
      return;
    }
    leaving++;
    const late = setTimeout(() => socket.terminate(), 1000);
    socket.once('close', () => {
      clearTimeout(late);
      leaving--;
    });
    socket.close(closeCode, code);
  };

  const admit = (request: FastifyRequest): Promise<Session> => {
    const address = clientAddress(request);
    return decide(request.log, { decision: 'redeem', ip: address, via: 'ws' }, async (facts) => {
      const giveBack = takeSlot(request);
      try {
        const session = await gate.admit({
          headers: request.headers,
          tickets: carriedSecrets(request.raw).ticket,
          rooms: [(request.query as { room?: string | string[] }).room ?? []].flat(),
          address,
          host: request.host,
        });
        const { session_id, ticket_id, record } = session;
        Object.assign(facts, { sub: record.sub, ticket_id, session_id });
        if (bindIp === 'log' && record.ip !== undefined && record.ip !== address) facts.bound_to = record.ip;
        return session;
      } catch (error) {
        giveBack();
        throw error;
      }
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
        const admission = admit(request);
        underWay.add(admission);
        void admission.catch(() => {}).finally(() => underWay.delete(admission));
        request.admission = await admission.catch((error: unknown) => {
          if (reject === 'close' && error instanceof BrokerError && !handshakeFaults.has(error.reason))
            return error;
          throw error;
        });
      },
      handler: async () => {
        throw new BrokerError('upgrade_required');
      },
      wsHandler: (socket, request) => {
        const { admission } = request;
        if (admission instanceof BrokerError) sendAway(socket, admission);
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
