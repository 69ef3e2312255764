import { socketUrl } from './addresses.ts';
import type { Ticket, TicketWishes } from './ticket-request.ts';
import { type TicketSourceOptions, type Token, ticketSource } from './ticket-source.ts';

/** Who asks for a ticket, and for what. */
export interface WebSocketTicketAuth {
  /** The user's JWT, or where to get it. */
  userMpAuthToken: Token;
  /** Taken, and sent nowhere: a broker wants no key from a browser. */
  chatServerKey?: string | undefined;
  /** These four become the ticket's `context`. Who the user is, is said by the token alone. */
  userId?: string | undefined;
  entityId?: string | undefined;
  entityType?: string | undefined;
  providerResId?: string | undefined;
}

/**
 * Asks for a ticket: `ticket.ticket` opens one socket, once.
 *
 * @param apiUrl of the broker, `https:` or `wss:`, with `/ws` or without
 * @throws TicketError
 */
export async function requestWebSocketTicket(apiUrl: string, auth: WebSocketTicketAuth): Promise<Ticket> {
  const next = ticketSource({ ...ticketOptions(auth), ticketUrl: ticketsUrlOf(apiUrl) });
  return (await next('connect', new AbortController().signal)) as Ticket;
}

/** What a ticket of theirs is asked for with. */
export function ticketOptions(auth: WebSocketTicketAuth): TicketSourceOptions & { wishes: TicketWishes } {
  const { userMpAuthToken: token, userId, entityId, entityType, providerResId } = auth;
  const told = Object.entries({ userId, entityId, entityType, providerResId }).filter(([, value]) => value);
  return { token, wishes: told.length > 0 ? { context: Object.fromEntries(told) } : {} };
}

/** `/tickets` beside the `/ws` that `apiUrl` ends in, or would. */
export function ticketsUrlOf(apiUrl: string): URL {
  const url = webSocketUrlOf(apiUrl);
  url.protocol = url.protocol.replace(/^ws/, 'http');
  url.pathname = url.pathname.replace(/\/ws$/, '/tickets');
  url.search = '';
  return url;
}

export function webSocketUrlOf(apiUrl: string): URL {
  const url = socketUrl(apiUrl);
  url.pathname = url.pathname.replace(/(\/ws)?\/?$/, '/ws');
  return url;
}
