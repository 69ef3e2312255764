export type { Backoff } from './backoff.ts';
export {
  type ConnectionStatus,
  WebSocketChatClient,
  type WebSocketChatClientConfig,
  type WebSocketChatClientProps,
} from './chat-client.ts';
export {
  type ConnectionState,
  WebSocketManager,
  type WebSocketManagerConfig,
  type WebSocketState,
} from './manager.ts';
export { TicketError } from './ticket-error.ts';
export { getTicketInfo, type TicketInfo } from './ticket-info.ts';
export type { Ticket, TicketWishes } from './ticket-request.ts';
export { createTicketSocket } from './ticket-socket.ts';
export type {
  Status,
  TicketSocket,
  TicketSocketEvents,
  TicketSocketOptions,
  Welcome,
} from './ticket-socket-types.ts';
export type { Occasion, Token } from './ticket-source.ts';
export type { ClosedReason } from './verdict.ts';
export { requestWebSocketTicket, type WebSocketTicketAuth } from './web-socket-ticket.ts';
