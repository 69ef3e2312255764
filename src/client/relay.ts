import type { Emitter } from './events.ts';
import type { TicketSocketEvents } from './ticket-socket-types.ts';

const all: Record<keyof TicketSocketEvents, true> = {
  status: true,
  welcome: true,
  message: true,
  expiring: true,
  refreshed: true,
  closed: true,
};

/** Hands on all that a socket tells. */
export function relay(
  from: Pick<Emitter<TicketSocketEvents>, 'on'>,
  to: Pick<Emitter<TicketSocketEvents>, 'emit'>,
): void {
  for (const name of Object.keys(all) as (keyof TicketSocketEvents)[]) {
    from.on(name, (detail) => to.emit(name, detail));
  }
}
