import { emitter } from './events.ts';
import { WebSocketManager, type WebSocketManagerConfig } from './manager.ts';
import { relay } from './relay.ts';
import { getTicketInfo } from './ticket-info.ts';
import type { Ticket } from './ticket-request.ts';
import type { TicketSocket, TicketSocketEvents } from './ticket-socket-types.ts';
import { ticketSource } from './ticket-source.ts';
import { ticketOptions, ticketsUrlOf, type WebSocketTicketAuth } from './web-socket-ticket.ts';

export interface WebSocketChatClientProps extends WebSocketTicketAuth {
  /** Of the broker, `wss:` or `https:`, with `/ws` or without. */
  chatServerUrl: string;
}

export type WebSocketChatClientConfig = Omit<
  WebSocketManagerConfig,
  'apiUrl' | 'token' | 'getTicket' | 'wishes' | 'log'
>;

export interface ConnectionStatus {
  connected: boolean;
  /** Whether there is a ticket in hand: false once connected, for connecting spends it. The next one is fetched when needed. */
  hasValidTicket: boolean;
  /** Seconds. */
  ticketExpiresIn: number;
}

/** Gets tickets for a user, and keeps one connection with them. */
export class WebSocketChatClient {
  /** Says on the console what happens, without any ticket, token or message. */
  enableDebugLogging = false;
  readonly #config: WebSocketChatClientConfig;
  readonly #events = emitter<TicketSocketEvents>();
  #manager: WebSocketManager | undefined;
  #ticket: Ticket | undefined;

  constructor(config: WebSocketChatClientConfig = {}) {
    this.#config = config;
  }

  /**
   * Resolves once connected; until then it goes on trying, for as long as there is hope.
   *
   * @throws Error when there is none
   */
  async onInit(props: WebSocketChatClientProps): Promise<void> {
    this.disconnect();
    const { chatServerUrl: apiUrl } = props;
    const next = ticketSource({
      ...ticketOptions(props),
      ticketUrl: this.#config.ticketUrl ?? ticketsUrlOf(apiUrl),
    });
    const manager = new WebSocketManager({
      ...this.#config,
      apiUrl,
      getTicket: async (occasion, signal) => {
        const ticket = (await next(occasion, signal)) as Ticket;
        if (occasion === 'connect') this.#ticket = ticket;
        return ticket;
      },
      log: (line) => {
        if (this.enableDebugLogging) console.debug('[ticket-broker]', line);
      },
    });
    manager.on('status', ({ status }) => {
      if (status !== 'connecting') this.#ticket = undefined;
    });
    relay(manager, this.#events);
    this.#manager = manager;
    await manager.connect();
  }

  isClientConnected(): boolean {
    return this.#manager?.getWebSocketState() === 'OPEN';
  }

  getConnectionStatus(): ConnectionStatus {
    const info = this.#ticket && getTicketInfo(this.#ticket);
    return {
      connected: this.isClientConnected(),
      hasValidTicket: info?.isValid ?? false,
      ticketExpiresIn: info?.expiresIn ?? 0,
    };
  }

  /** @returns false when it is not taken */
  send(message: string | object): boolean {
    return this.#manager?.send(message) ?? false;
  }

  /** @returns what takes the listener off again */
  on: TicketSocket['on'] = (name, listener) => this.#events.on(name, listener);

  disconnect(): void {
    this.#manager?.disconnect();
  }
}
