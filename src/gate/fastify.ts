import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import websocket, { type WebsocketHandler, type WebsocketPluginOptions } from '@fastify/websocket';
import type { FastifyPluginAsync } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { BrokerError } from '../errors.ts';
import { withoutSecrets } from '../wire/carried-secrets.ts';
import { answerTo } from '../wire/refusal-answer.ts';
import { messageLimits } from '../ws/message-limits.ts';
import type { Gate, GateSession } from './gate.ts';

/** Milliseconds after which it is looked whether a handshake that has reached no route has been answered. */
const unroutedMs = 2000;

export interface FastifyGateOptions {
  gate: Gate;
  /** For @fastify/websocket, which is registered by this plugin. */
  websocket?: WebsocketPluginOptions;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom the gate has admitted, on a WebSocket route. */
    ticketSession: GateSession | null;
  }
}

/**
 * Puts a gate in front of every WebSocket route of a Fastify app: it registers @fastify/websocket, refuses before the upgrade,
 * takes the ticket out of the URL before it is logged, and closes admitted sockets when their session is over.
 */
const plugin: FastifyPluginAsync<FastifyGateOptions> = async (app, { gate, websocket: given }) => {
  app.decorateRequest('ticketSession', null);
  const guarded = (handler: WebsocketHandler): WebsocketHandler =>
    function (socket, request) {
      if (request.ticketSession) gate.hold(socket, request.ticketSession);
      if (socket.readyState !== socket.OPEN) return;
      return handler.call(this, socket, request);
    };
  // Before @fastify/websocket, whose own hook wraps the handler for Fastify.
  app.addHook('onRoute', (route) => {
    if (route.wsHandler) route.wsHandler = guarded(route.wsHandler);
    else if (route.websocket) route.handler = guarded(route.handler as unknown as WebsocketHandler) as never;
  });
  const routed = new WeakSet<IncomingMessage>();
  // Of a target that the router cannot read, it answers for itself, and @fastify/websocket does not end the connection.
  const endUnrouted = (request: IncomingMessage, socket: Socket, writtenBefore: number) => {
    setTimeout(() => {
      if (routed.has(request) || socket.destroyed) return;
      // Hooks that come before ours may take their time.
      if (socket.bytesWritten === writtenBefore) return endUnrouted(request, socket, writtenBefore);
      socket.destroy();
    }, unroutedMs).unref();
  };
  app.server.prependListener('upgrade', (request, socket) => {
    // Before anybody logs the URL, as Fastify does first of all.
    withoutSecrets(request);
    endUnrouted(request, socket as Socket, (socket as Socket).bytesWritten);
  });
  await app.register(websocket, {
    ...given,
    options: {
      // Where the host sets another maxPayload, ours for parts do not fit.
      ...(given?.options?.maxPayload === undefined && messageLimits),
      handleProtocols: gate.selectProtocol,
      ...given?.options,
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    routed.add(request.raw);
    if (!request.ws) return;
    try {
      request.ticketSession = await gate.authenticate(request.raw);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      // @fastify/websocket ends the connection.
      const { status, headers, body } = answerTo(error, { last: true });
      await reply.code(status).headers(headers).send(body);
    }
  });
};

export const fastifyGate = fastifyPlugin(plugin, { name: 'ticket-broker-gate', fastify: '5.x' });
