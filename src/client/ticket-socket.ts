import ReconnectingWebSocket, { CloseEvent as HungUp } from 'partysocket/ws';
import { socketUrl, ticketsUrl } from './addresses.ts';
import { emitter } from './events.ts';
import { createOutbox } from './outbox.ts';
import { createRestraint, type Setback, soon } from './restraint.ts';
import { createSession } from './session.ts';
import { watchSurroundings } from './surroundings.ts';
import type { TicketError } from './ticket-error.ts';
import type { Status, TicketSocket, TicketSocketEvents, TicketSocketOptions } from './ticket-socket-types.ts';
import { ticketSource } from './ticket-source.ts';
import { type ClosedReason, verdictOn } from './verdict.ts';

/** Milliseconds until a socket must be open. */
const patience = 10_000;
/** Milliseconds that a session must have lasted for the failures before it to be forgotten. */
const steadyAfter = 5000;

/**
 * Opens a WebSocket with a ticket, and opens it again, each time with a fresh ticket, until it is closed or there is no use.
 *
 * partysocket makes the attempts, one at a time. It asks us for the ticket of each one: all that has to be waited for is
 * waited for in there, and partysocket's own delays are off.
 *
 * @throws TypeError for a `url` that is none
 */
export function createTicketSocket(options: TicketSocketOptions): TicketSocket {
  const { transport = 'subprotocol', log } = options;
  const url = socketUrl(options.url);
  const nextTicket = ticketSource({ ...options, ticketUrl: options.ticketUrl ?? ticketsUrl(url) });
  const events = emitter<TicketSocketEvents>();
  const outbox = createOutbox(options.queueLimit ?? 100);

  let status: Status = { status: 'connecting' };
  let life = new AbortController();
  let stopWatching: () => void;

  const say = (next: Status) => {
    status = next;
    log?.(Object.values(next).join(' '));
    events.emit('status', next);
  };

  const restraint = createRestraint({
    backoff: { baseMs: 2000, capMs: 30_000, ...options.backoff },
    onWait: (why, waitMs, attempt) => say({ status: 'waiting', why, waitMs, attempt }),
  });

  /** The ticket of an attempt. It must settle, and fail with an Error, or partysocket waits for ever. */
  const admission = async (): Promise<string> => {
    const { signal } = life;
    try {
      await restraint.hold(signal);
      if (status.status !== 'connecting') say({ status: 'connecting' });
      const { ticket } = await nextTicket('connect', signal);
      // Unless something better is known when it has.
      restraint.suffer({ why: 'connection failed' });
      return ticket;
    } catch (error) {
      if (!signal.aborted) missed(error as TicketError);
      throw new Error('no ticket');
    }
  };

  const missed = ({ message: why, final, unauthorized, retryAfterMs: atLeastMs }: TicketError) => {
    if (final) end(unauthorized ? 'unauthorized' : 'bad_request', why);
    else restraint.suffer({ why, atLeastMs });
  };

  const dropped = () => {
    outbox.hold();
    if (session.over() > steadyAfter) restraint.forgive();
  };

  /** Whether there is to be another attempt. */
  const judge = (event: { code: number; reason: string }): boolean => {
    const { code, reason } = event;
    const verdict = verdictOn(code, reason, session.begun && options.expectWelcome !== false);
    dropped();
    // Ours, or a handshake that failed: its code and reason are partysocket's own.
    if (event instanceof HungUp) return true;
    const why = withoutSecrets(`${code} ${reason}`.trim());
    if (!('end' in verdict)) {
      restraint.suffer({ why, ...verdict });
      return true;
    }
    const { signal } = life;
    // Not before partysocket has finished: a listener may want to reconnect.
    queueMicrotask(() => signal.aborted || end(verdict.end, why));
    return false;
  };

  const end = (reason: ClosedReason, why: string) => {
    if (status.status === 'closed') return;
    stopWatching();
    life.abort();
    socket.close();
    dropped();
    const unsent = outbox.empty();
    say({ status: 'closed', reason, why });
    events.emit('closed', { reason, why, unsent });
  };

  /** Gives up a connection that is of no use, and makes another. */
  const replace = (setback?: Setback) => {
    restraint.suffer(setback);
    // partysocket says nothing of a connection whose close is under way.
    dropped();
    socket.reconnect();
  };

  const watch = () =>
    watchSurroundings({
      onWake: restraint.wake,
      onSlept: () => {
        if (session.begun) replace({ why: 'slept', atLeastMs: soon(), exact: true });
        else restraint.wake();
      },
      onOffline: () => {
        if (socket.readyState === socket.OPEN) replace({ why: 'offline', atLeastMs: soon(), exact: true });
      },
    });

  const offered = transport === 'query' ? options.protocol : (options.protocol ?? 'ticket-broker');
  const protocols = [offered ?? []].flat();
  const socket = new ReconnectingWebSocket(
    transport === 'query' ? async () => withTicket(url, await admission()) : url.href,
    transport === 'query' ? protocols : async () => [...protocols, `ticket.${await admission()}`],
    {
      minReconnectionDelay: 0,
      maxReconnectionDelay: 0,
      connectionTimeout: patience,
      maxEnqueuedMessages: 0,
      shouldReconnectOnClose: judge,
    },
  );
  const session = createSession({
    ...options,
    events,
    nextTicket,
    send: (message) => socket.send(message),
    onBegun(welcome) {
      restraint.suffer({ why: 'connection lost' });
      say({ status: 'connected' });
      if (welcome) events.emit('welcome', welcome);
      outbox.flush((message) => socket.send(message), welcome?.message_limit);
    },
    onUnwelcome: () => replace({ why: 'no welcome' }),
  });
  socket.onopen = session.opened;
  socket.onmessage = ({ data }) => session.receive(data);
  stopWatching = watch();

  return {
    get status() {
      return status;
    },
    get queued() {
      return outbox.size;
    },
    on: events.on,
    send(message) {
      if (status.status === 'closed') return false;
      const text = typeof message === 'string' ? message : JSON.stringify(message);
      return (session.begun && !outbox.flushing && socket.send(text)) || outbox.put(text);
    },
    close: () => end('disconnected', 'close() was called'),
    reconnect() {
      if (status.status === 'closed') {
        life = new AbortController();
        stopWatching = watch();
      }
      say({ status: 'connecting' });
      restraint.forgive();
      replace(undefined);
      restraint.release();
    },
  };
}

function withTicket(url: URL, ticket: string): string {
  const full = new URL(url);
  full.searchParams.set('ticket', ticket);
  return full.href;
}

/** What a server says when it closes is for people to read: nothing that opens anything is passed on with it. */
function withoutSecrets(text: string): string {
  return text.replace(/(?:ws[tkr]_|eyJ)[\w.-]+/g, '…');
}
