'use client';

import { useCallback, useEffect, useRef, useState } from 'react';
import { createTicketSocket } from './ticket-socket.ts';
import type { Status, TicketSocket, TicketSocketOptions } from './ticket-socket-types.ts';
import type { Occasion } from './ticket-source.ts';
import type { ClosedReason } from './verdict.ts';

export interface UseTicketWebSocketOptions extends Omit<TicketSocketOptions, 'url'> {
  /** Messages kept, the newest: 1 or more. Default: 100. */
  maxMessages?: number | undefined;
}

export interface TicketWebSocket<Message> {
  status: Status['status'];
  /** Why it is closed for good. */
  reason: ClosedReason | undefined;
  /** Oldest first. */
  messages: readonly Message[];
  /** Sends a text, or an object as JSON, now or once connected. @returns false when it is not taken */
  sendMessage: (message: string | object) => boolean;
}

/**
 * A socket for as long as the component is mounted. Callbacks and a token may be other ones at each render: those of the
 * latest are used. Another address, tickets for something else, or another way to get them (`token`, `getTicket` or neither)
 * make another socket; a new token opens a closed one. The other options are those with which the socket was made.
 *
 * @param url nothing: not yet
 */
export function useTicketWebSocket<Message = unknown>(
  url: string | null | undefined,
  options: UseTicketWebSocketOptions = {},
): TicketWebSocket<Message> {
  const [status, setStatus] = useState<Status>({ status: 'connecting' });
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const socket = useRef<TicketSocket>(undefined);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });

  const { token, getTicket, ticketUrl, wishes, transport, protocol } = options;
  const by = { token: token !== undefined, getTicket: getTicket !== undefined };
  const identity = JSON.stringify({ url, ticketUrl, wishes, transport, protocol, by });
  useEffect(() => {
    const { by, ...fixed } = JSON.parse(identity);
    if (!fixed.url) return;
    const current = () => latest.current;
    // In StrictMode it is closed again before it has asked for anything: its first attempt is not made in this turn.
    const opened = createTicketSocket({
      ...current(),
      ...fixed,
      ...(by.token && { token: (occasion: Occasion) => told(current().token, occasion) }),
      ...(by.getTicket && {
        getTicket: (occasion: Occasion, signal: AbortSignal) => current().getTicket?.(occasion, signal),
      }),
      log: (line) => current().log?.(line),
    });
    socket.current = opened;
    setMessages([]);
    setStatus(opened.status);
    opened.on('status', setStatus);
    opened.on('message', (message) => {
      const { maxMessages = 100 } = current();
      setMessages((before) => [...before, message as Message].slice(-Math.max(1, maxMessages)));
    });
    return () => {
      socket.current = undefined;
      opened.close();
    };
  }, [identity]);

  useEffect(() => {
    if (typeof token === 'string' && socket.current?.status.status === 'closed') socket.current.reconnect();
  }, [token]);

  const sendMessage = useCallback((message: string | object) => socket.current?.send(message) ?? false, []);
  const reason = status.status === 'closed' ? status.reason : undefined;
  return { status: url ? status.status : 'closed', reason, messages, sendMessage };
}

function told(token: TicketSocketOptions['token'], occasion: Occasion) {
  return typeof token === 'function' ? token(occasion) : token;
}
