import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import { recordDecisions, recordEnds } from '../decisions.ts';
import { BrokerError } from '../errors.ts';
import { isOrigin } from '../origin.ts';
import { type LiveSession, liveSessions, type Peer } from '../sessions/live-sessions.ts';
import type { Json } from '../tickets/record.ts';
import type { Session } from '../tickets/session.ts';
import { withoutSecrets } from '../wire/carried-secrets.ts';
import { visitorReader } from '../wire/forwarded.ts';
import { rawAnswerTo } from '../wire/refusal-answer.ts';
import { admission } from '../ws/admission.ts';
import { createGate } from '../ws/gate.ts';
import { selectProtocol } from '../ws/handshake.ts';
import { sessionRefresh } from '../ws/session-refresh.ts';
import type { GateLog } from './backing.ts';
import { type BrokerSource, brokerBacking } from './broker-backing.ts';
import { type RedisSource, redisBacking } from './redis-backing.ts';

export { BrokerError } from '../errors.ts';
export { closeCodes } from '../sessions/close-codes.ts';
export { fastifyGate } from './fastify.ts';
export type { BrokerSource, GateLog, RedisSource };

export type GateOptions = (RedisSource | BrokerSource) & {
  /** The service that stands behind this gate, as `WS_AUDIENCE`: tickets for another are refused. */
  audience?: string;
  /** Browser origins that may connect, or `*`; default: those of the same host. */
  allowedOrigins?: readonly string[] | '*';
  /** Addresses and CIDRs of the proxies whose `X-Forwarded-*` headers are believed. */
  trustProxy?: readonly string[];
  /** Any logger with pino's methods; default: none. It never gets a secret. */
  log?: GateLog;
};

/** One admitted connection, as whoever holds it sees it: as it is now, where it has been renewed. */
export interface GateSession {
  readonly session_id: string;
  readonly sub: string;
  readonly username: string;
  /** The rooms that may be entered; undefined: any. */
  readonly rooms: readonly string[] | undefined;
  /** What the mint attached. */
  readonly context: Json | undefined;
  /** The room asked for with the handshake, which is among `rooms`. */
  readonly room: string | undefined;
  /** Unix seconds of its end. */
  readonly exp: number;
}

/** What can be closed with a code: a socket of `ws`, or anything alike. */
export interface Closable {
  close(code: number, reason: string): void;
  /** Drops a peer that does not answer the close. */
  terminate?(): void;
  /** As `ws` has it: above 1, it is closing or closed. */
  readonly readyState?: number;
  once(event: 'close', listener: (code?: number) => void): unknown;
  /** So that nobody hears a peer who goes on talking while the socket is being closed, as `ws` lets them. */
  removeAllListeners?(event: 'message'): unknown;
}

export interface Gate {
  /**
   * Decides on an upgrade request, and spends its ticket when all holds. The ticket is taken out of `request.url`.
   *
   * @throws BrokerError with `code`, `status` and `closeCode`; hand it to `refuse`
   */
  authenticate(request: IncomingMessage): Promise<GateSession>;
  /** Says no on a connection that is not upgraded yet, as HTTP. Whatever is no BrokerError is a 500. */
  refuse(socket: Duplex, error: unknown): void;
  /**
   * Closes the socket when its session is over (3000) or revoked (3003), within two seconds, whatever its peer does; the
   * listeners for its messages are taken off at once.
   *
   * The gate says nothing on the socket. A node that says `welcome` and, `onExpiring`, `session.expiring` must let nobody else
   * say these on it: clients answer `session.expiring` with an unspent ticket. So hand on what users say inside a message of
   * the node's own, or drop what has a `type` of `welcome` or `session.…`; and never hand on a `session.refresh`.
   */
  hold(socket: Closable, session: GateSession, events?: { onExpiring?: (secondsLeft: number) => void }): void;
  /**
   * Moves the end of a held session on with a fresh ticket of the same subject: what a client sends as `session.refresh`. It
   * wants to hear `{"type":"session.refreshed","expires_in":…}` or `{"type":"error","error":…,"about":"session.refresh"}`.
   *
   * @returns seconds until the new end
   * @throws BrokerError as `authenticate` does; `binding_mismatch` for a ticket of another subject, which is spent
   */
  renew(session: GateSession, ticket: string): Promise<number>;
  /** For the `handleProtocols` of `ws`: the first subprotocol that is no ticket. */
  selectProtocol(offered: Iterable<string>): string | false;
  /** Whether the feed is caught up; while it is not, everybody is refused with 503. */
  readonly ready: boolean;
  /** Ends the gate's own connections, and nobody else's. */
  close(): Promise<void>;
}

/** Milliseconds. */
const closeWithinMs = 2000;

interface Admitted {
  session: Session;
  peer: Peer;
  held?: LiveSession;
}

/** Opens the gate of a chat node. Waits for nothing: until Redis or the broker is there, everybody is refused with 503. */
export function openGate(options: GateOptions): Gate {
  const { audience, allowedOrigins, trustProxy = [], log = pino({ level: 'silent' }) } = options;
  if (!areOrigins(allowedOrigins)) {
    throw new TypeError("allowedOrigins must be origins such as https://app.example.com, or '*'");
  }
  const backing = 'redis' in options ? redisBacking(options, log) : brokerBacking(options, log);
  const { present, feed, registry, node } = backing;
  const gate = createGate({
    present,
    accept: new Set(['ticket']),
    allowedOrigins: typeof allowedOrigins === 'object' ? new Set(allowedOrigins) : allowedOrigins,
    audience,
  });
  const recording = {
    decide: recordDecisions({ decided() {} }),
    log,
    gate,
    bindIp: ('redis' in options && options.bindIp) || 'off',
  } as const;
  const door = admission({ ...recording, visitor: visitorReader(trustProxy), maxConnections: 0 });
  const refresh = sessionRefresh(recording);
  const sessions = liveSessions({
    now: Date.now,
    log,
    recordEnd: recordEnds(),
    feed,
    registry,
    node,
    maxPerSubject: 0,
    endSessions: async () => {},
  });
  const admitted = new WeakMap<GateSession, Admitted>();

  const admittedAs = (session: GateSession): Admitted => {
    const known = admitted.get(session);
    if (known) return known;
    throw new TypeError('not a session that this gate has admitted');
  };

  return {
    async authenticate(request) {
      // Node has taken its own listener away, and an error without one would end the process.
      if (request.socket.listenerCount('error') === 0) request.socket.on('error', () => {});
      withoutSecrets(request);
      const { session, peer } = await door.admit(request);
      if (!session) throw new BrokerError('invalid_ticket', { reason: 'no_ticket' });
      const entry: Admitted = { session, peer };
      const seen = asSeen(entry);
      admitted.set(seen, entry);
      return seen;
    },

    refuse(socket, error) {
      if (!(error instanceof BrokerError)) log.error({ err: error }, 'unexpected error');
      const refusal = error instanceof BrokerError ? error : new BrokerError('internal_error');
      socket.end(rawAnswerTo(refusal), () => socket.destroy());
    },

    hold(socket, session, { onExpiring } = {}) {
      const entry = admittedAs(session);
      // It may have gone before it was handed over.
      if ((socket.readyState ?? 1) > 1) return;
      const held = sessions.enter(entry.session, entry.peer, {
        onExpiring: (leftMs) => onExpiring?.(Math.round(leftMs / 1000)),
        onEnd(code, reason) {
          const mute = () => socket.removeAllListeners?.('message');
          mute();
          // Where it has been revoked before it arrived, its holder is about to listen.
          setImmediate(mute);
          socket.close(code, reason);
          // A peer that does not answer the close would have its say until `ws` loses patience, half a minute later.
          setTimeout(() => socket.terminate?.(), closeWithinMs).unref();
        },
      });
      entry.held = held;
      // Abnormal closure, where it does not say (RFC 6455 7.4.1).
      socket.once('close', (code = 1006) => held.leave(code));
    },

    async renew(session, ticket) {
      const { peer, held } = admittedAs(session);
      if (!held) throw new TypeError('not a session that this gate holds');
      const fresh = await refresh(ticket, peer, held.session());
      held.renew(fresh);
      return Math.floor((fresh.deadline - Date.now()) / 1000);
    },

    selectProtocol,
    get ready() {
      return feed.current;
    },
    async close() {
      sessions.stop();
      await backing.close();
    },
  };
}

function areOrigins(value: unknown): value is GateOptions['allowedOrigins'] {
  if (value === undefined || value === '*') return true;
  return Array.isArray(value) && value.length > 0 && value.every(isOrigin);
}

function asSeen(entry: Admitted): GateSession {
  const { session_id, record } = entry.session;
  const { sub, username } = record;
  const current = () => entry.held?.session() ?? entry.session;
  return Object.freeze({
    session_id,
    sub,
    username,
    room: entry.peer.room,
    get rooms() {
      return current().record.rooms;
    },
    get context() {
      return current().record.context;
    },
    get exp() {
      return current().exp;
    },
  });
}
