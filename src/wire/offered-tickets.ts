/** What a ticket has before it where it comes as a subprotocol. */
export const carrier = 'ticket.';

/** The tickets among subprotocols. */
export function ticketsAmong(protocols: readonly string[]): string[] {
  return protocols
    .filter((protocol) => protocol.startsWith(carrier))
    .map((protocol) => protocol.slice(carrier.length));
}

/** The tickets among offered subprotocols, for who does not answer the offer. */
export function ticketsOffered(header: string | undefined): string[] {
  return ticketsAmong((header?.split(',') ?? []).map((protocol) => protocol.trim()));
}
