import type { IncomingHttpHeaders } from 'node:http';
import { subprotocol } from 'ws';
import { BrokerError } from '../errors.ts';
import { isRoom } from '../tickets/room.ts';
import { carrier, ticketsAmong } from '../wire/offered-tickets.ts';

/** What a well-formed opening handshake says (RFC 6455 4.2.1). */
export interface Handshake {
  /** The tickets that were presented, wherever they were. */
  tickets: readonly string[];
  origin: string | undefined;
  room: string | undefined;
}

/**
 * Reads an opening handshake. `ws` would check it too, but only after the ticket has been spent.
 *
 * @param queried the tickets that came in the query
 * @param rooms the values of `?room=`
 * @throws BrokerError `upgrade_required`, `invalid_request`
 */
export function readHandshake(
  headers: IncomingHttpHeaders,
  queried: readonly string[],
  rooms: readonly string[],
): Handshake {
  if (!headers.host) throw malformed('Host is missing');
  if (headers['sec-websocket-version'] !== '13')
    throw new BrokerError('upgrade_required', { reason: 'version' });
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')) {
    throw malformed('Sec-WebSocket-Key is missing or malformed');
  }
  if (rooms.length > 1) throw malformed('room is given more than once');
  if (rooms[0] && !isRoom(rooms[0])) throw malformed('room is not the name of a room');

  const offered = offeredProtocols(headers['sec-websocket-protocol']);
  const carried = ticketsAmong(offered);
  if (carried.length > 0 && carried.length === offered.length) {
    // Browsers fail a connection whose offered subprotocols are all left unanswered, and the ticket is never echoed.
    throw malformed('Sec-WebSocket-Protocol must offer an application protocol besides the ticket');
  }
  return {
    tickets: [...carried, ...queried],
    origin: headers.origin,
    room: rooms[0] || undefined,
  };
}

/** The subprotocol that the server answers: the first one that is not a ticket. */
export function selectProtocol(offered: Iterable<string>): string | false {
  for (const protocol of offered) if (!protocol.startsWith(carrier)) return protocol;
  return false;
}

function offeredProtocols(header: string | undefined): string[] {
  if (header === undefined) return [];
  try {
    return [...subprotocol.parse(header)];
  } catch {
    throw malformed('Sec-WebSocket-Protocol is malformed');
  }
}

function malformed(description: string): BrokerError {
  return new BrokerError('invalid_request', { description, reason: 'bad_handshake' });
}
