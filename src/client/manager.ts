import { emitter } from './events.ts';
import { relay } from './relay.ts';
import { createTicketSocket } from './ticket-socket.ts';
import type { TicketSocket, TicketSocketEvents, TicketSocketOptions } from './ticket-socket-types.ts';
import { ticketSource } from './ticket-source.ts';
import { ticketsUrlOf, webSocketUrlOf } from './web-socket-ticket.ts';

export interface WebSocketManagerConfig extends Omit<TicketSocketOptions, 'url'> {
  /** Of the broker, `https:` or `wss:`, with `/ws` or without. */
  apiUrl: string;
}

export type WebSocketState = 'CONNECTING' | 'OPEN' | 'CLOSED';

/** What a manager is told to keep up to date. */
export interface ConnectionState {
  state?: WebSocketState;
  connected?: boolean;
}

const states = {
  connecting: 'CONNECTING',
  waiting: 'CONNECTING',
  connected: 'OPEN',
  closed: 'CLOSED',
} as const;

/**
 * One connection with a ticket that somebody else has got.
 *
 * A ticket opens one socket: to come back after a loss it takes the one given to `updateTicket` or, where the configuration
 * has a `token` or `getTicket`, a fresh one of its own. With neither it ends as `unauthorized`.
 */
export class WebSocketManager {
  readonly #config: WebSocketManagerConfig;
  readonly #connectionState: ConnectionState;
  readonly #events = emitter<TicketSocketEvents>();
  #socket: TicketSocket | undefined;
  /** Unspent: the one to connect with, and the one for after that. */
  #given: string | undefined;
  #next: string | undefined;

  constructor(config: WebSocketManagerConfig, connectionState: ConnectionState = {}) {
    this.#config = config;
    this.#connectionState = connectionState;
    this.on('status', ({ status }) => {
      const state = states[status];
      Object.assign(connectionState, { state, connected: state === 'OPEN' });
    });
  }

  /**
   * Resolves once the session has begun.
   *
   * @param ticket tried once; without one, and without one from `updateTicket`, it goes on trying for as long as there is hope
   * @throws Error when there is none
   */
  async connect(ticket?: string): Promise<void> {
    if (ticket !== undefined) {
      this.disconnect();
      this.#given = ticket;
    }
    const once = (this.#given ?? this.#next) !== undefined;
    const state = this.getWebSocketState();
    if (state === 'OPEN') return;
    const begun = this.#outcome(once);
    if (state === 'CLOSED') this.#open();
    await begun;
  }

  disconnect(): void {
    this.#socket?.close();
  }

  /** A fresh ticket for the next attempt. */
  updateTicket(ticket: string): void {
    this.#next = ticket;
  }

  getWebSocketState(): WebSocketState {
    return this.#socket ? states[this.#socket.status.status] : 'CLOSED';
  }

  /** @returns false when it is not taken */
  send(message: string | object): boolean {
    return this.#socket?.send(message) ?? false;
  }

  /** @returns what takes the listener off again */
  on: TicketSocket['on'] = (name, listener) => this.#events.on(name, listener);

  #open(): void {
    const { apiUrl, ...options } = this.#config;
    const own = ticketSource({ ...options, ticketUrl: options.ticketUrl ?? ticketsUrlOf(apiUrl) });
    const hasOwn = options.token !== undefined || options.getTicket !== undefined;
    const socket = createTicketSocket({
      ...options,
      url: webSocketUrlOf(apiUrl),
      getTicket: (occasion, signal) => {
        const ticket = this.#take();
        if (ticket !== undefined) return { ticket };
        return hasOwn ? own(occasion, signal) : undefined;
      },
    });
    this.#socket = socket;
    relay(socket, this.#events);
    Object.assign(this.#connectionState, { state: 'CONNECTING', connected: false });
  }

  #take(): string | undefined {
    const ticket = this.#given ?? this.#next;
    if (this.#given === undefined) this.#next = undefined;
    this.#given = undefined;
    return ticket;
  }

  /** How it turns out: with a ticket that can only be tried once, after the first attempt. */
  #outcome(once: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const off = this.on('status', (now) => {
        if (now.status === 'connecting' || (now.status === 'waiting' && !once)) return;
        off();
        if (now.status === 'connected') return resolve();
        reject(new Error(`the WebSocket did not open: ${now.why}`));
        this.disconnect();
      });
    });
  }
}
