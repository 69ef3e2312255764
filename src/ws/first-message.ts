import type { RawData, WebSocket } from 'ws';
import { BrokerError } from '../errors.ts';
import { closeCodes } from '../sessions/close-codes.ts';
import { sendAway } from './send-away.ts';

/** Why a socket is closed that should have shown one. */
export type NoTicket = 'no_ticket_in_time' | 'no_ticket_in_message';

/** Milliseconds that a socket which came without a ticket has to show one. */
const patienceMs = 5000;

/**
 * Waits for `{"type":"ticket_authenticate","ticket":…}` as the first message of a socket that is open already, and hands the
 * ticket on. What comes after it waits until it has been judged; a refusal closes the socket.
 */
export function awaitTicket(
  socket: WebSocket,
  admit: (ticket: string) => Promise<void>,
  onNone: (reason: NoTicket) => void,
  onFault: (error: unknown) => void,
): void {
  const late = setTimeout(() => {
    onNone('no_ticket_in_time');
    sendAway(socket, closeCodes.noTicketInTime, 'no ticket in time');
  }, patienceMs);
  socket.once('close', () => clearTimeout(late));
  socket.once('message', (data) => {
    // Too late: a ticket would be spent on a socket that is being closed.
    if (socket.readyState !== socket.OPEN) return;
    clearTimeout(late);
    const ticket = ticketIn(data);
    if (typeof ticket === 'number') {
      onNone('no_ticket_in_message');
      sendAway(
        socket,
        ticket,
        ticket === closeCodes.notJson ? 'not JSON' : 'the first message shows a ticket',
      );
      return;
    }
    // What has been read already comes all the same.
    const early: [RawData, boolean][] = [];
    const keep = (...message: [RawData, boolean]) => early.push(message);
    socket.on('message', keep);
    socket.pause();
    admit(ticket).then(
      () => {
        socket.off('message', keep);
        for (const message of early) socket.emit('message', ...message);
        socket.resume();
      },
      (error: unknown) => {
        socket.off('message', keep);
        socket.resume();
        if (!(error instanceof BrokerError)) onFault(error);
        const { closeCode, code } = error instanceof BrokerError ? error : new BrokerError('internal_error');
        sendAway(socket, closeCode, code);
      },
    );
  });
}

/** The ticket, or the code to close with. */
function ticketIn(data: RawData): string | number {
  let message: unknown;
  try {
    message = JSON.parse(String(data));
  } catch {
    return closeCodes.notJson;
  }
  const { type, ticket } = (message ?? {}) as { type?: unknown; ticket?: unknown };
  return type === 'ticket_authenticate' && typeof ticket === 'string' ? ticket : closeCodes.policy;
}
