import { Ajv } from 'ajv';
import { type Static, Type } from 'typebox';
import type { Message } from '../sessions/connection.ts';
import { roomPattern } from '../tickets/room.ts';

/** What a client may send besides `session.refresh`. Other fields of a message are passed on as they are. */
const Spoken = Type.Object({
  type: Type.String({ pattern: '^[a-z][\\w.:-]{0,63}$' }),
  room: Type.Optional(Type.String({ pattern: roomPattern })),
});

export type Spoken = Static<typeof Spoken> & Message;

const check = new Ajv({ strict: false, unicodeRegExp: true }).compile<Spoken>(Spoken);

/** @returns what is wrong with a message, or undefined */
export function faultOf(message: Message): string | undefined {
  if (check(message)) return undefined;
  const [fault] = check.errors ?? [];
  return `${fault?.instancePath.slice(1) || 'message'} ${fault?.message}`;
}

/** What only the server says. */
export function isReserved(type: string): boolean {
  return (
    ['welcome', 'joined', 'left', 'presence', 'error', 'ticket_authenticate'].includes(type) ||
    type.startsWith('session.')
  );
}
