import { BrokerError } from '../errors.ts';
import type { AllowedRooms, Store } from '../store/store.ts';
import type { TicketRecord } from './record.ts';
import { mostRooms } from './room.ts';

/** A user, with the rooms of the token's `rooms` claim where it has one. */
export interface Entitled {
  readonly sub: string;
  readonly rooms?: readonly string[];
}

/**
 * The rooms that a user may enter, as far as it matters for those `asked` for. The token's own claim decides alone; without
 * one, the set that operators keep for the subject.
 *
 * @throws BrokerError `store_unavailable`
 */
export async function allowedRooms(
  store: Pick<Store, 'roomsOf'>,
  { sub, rooms }: Entitled,
  asked: readonly string[] | undefined,
): Promise<AllowedRooms> {
  if (rooms) return rooms;
  return asked?.length === 0 ? asked : store.roomsOf(sub, asked);
}

/**
 * The record as far as the allowed rooms go: one that names no rooms gets them all.
 *
 * @throws BrokerError `room_forbidden` for the first room that is not among them; `invalid_request` for a record that names
 *   none, where they are more than a ticket takes
 */
export function narrowed(record: TicketRecord, allowed: AllowedRooms): TicketRecord {
  if (allowed === 'any') return record;
  if (allowed === 'too_many') {
    throw new BrokerError('invalid_request', {
      description: `rooms must be named: more than ${mostRooms} are allowed.`,
      reason: 'too_many_rooms',
    });
  }
  if (!record.rooms) return { ...record, rooms: allowed };
  const forbidden = record.rooms.find((room) => !allowed.includes(room));
  if (forbidden === undefined) return record;
  throw new BrokerError('room_forbidden', {
    description: `The room ${forbidden} is not among those allowed.`,
  });
}
