import { hash } from 'node:crypto';
import type { Claim, Misfit, TicketRecord } from '../tickets/record.ts';
import type { Redemption } from './store.ts';

/** The body of a ticket's value, from the newline before `aud` on: see `ticket-scripts.ts` for the whole form. */
export function recordToText(record: TicketRecord): string {
  const { aud, origin, ip, rooms, sub, minted_by, ...rest } = record;
  const fields = [aud ?? '', origin ?? '', ip ?? '', roomsToText(rooms), sub, minted_by ?? ''];
  return `\n${fields.map(oneLine).join('\n')}\n${JSON.stringify(rest)}`;
}

/** Reads a whole value as the redeem script returns it. */
export function recordFromText(text: string): TicketRecord {
  const [, aud, origin, ip, rooms, sub, mintedBy, ...rest] = text.split('\n');
  return {
    ...JSON.parse(rest.join('\n')),
    sub,
    ...(aud && { aud }),
    ...(origin && { origin }),
    ...(ip && { ip }),
    ...(rooms && { rooms: rooms.split('\t').slice(1, -1) }),
    ...(mintedBy && { minted_by: mintedBy }),
  };
}

/** A claim in the order of the redeem script's arguments; what is absent is empty. Who asks is kept as a digest: callers choose it. */
export function claimToArguments(claim: Claim): string[] {
  const { sessionId, aud = '', origin = '', addresses, room = '', repeat } = claim;
  return [
    sessionId,
    aud,
    origin,
    addresses ? `\n${addresses.join('\n')}\n` : '',
    room,
    repeat ? hash('sha256', repeat.asker, 'base64url').slice(0, 22) : '',
    repeat ? String(repeat.withinMs) : '',
  ];
}

/** What the redeem script says of one ticket. */
export type Judged =
  | [outcome: 'redeemed', value: string, ageMs: number, at: number]
  | [outcome: 'repeated', value: string, ageMs: number, at: number, sessionId: string]
  | [outcome: 'used', sessionId: string]
  | [outcome: 'misfit', misfit: Misfit]
  | [outcome: 'limited', resetMs: number]
  | [outcome: 'unknown' | 'expired' | 'fenced' | 'revoked'];

/** @param sessionId the one that the claim has chosen */
export function redemptionFrom(answer: Judged, sessionId: string): Redemption {
  switch (answer[0]) {
    case 'redeemed':
    case 'repeated': {
      const [, value, ageMs, at, given = sessionId] = answer;
      return { outcome: 'redeemed', record: recordFromText(value), sessionId: given, ageMs, at };
    }
    case 'used':
      return { outcome: 'used', sessionId: answer[1] };
    case 'misfit':
      return { outcome: 'misfit', misfit: answer[1] };
    case 'limited':
      return { outcome: 'limited', resetMs: Math.max(answer[1], 0) };
    default:
      return { outcome: answer[0] };
  }
}

function roomsToText(rooms: readonly string[] | undefined): string {
  if (!rooms) return '';
  return `\t${rooms.map((room) => `${untabbed(room)}\t`).join('')}`;
}

// The schemas keep control characters out; a value that got past them must not be able to forge a field.
function oneLine(field: string): string {
  if (field.includes('\n')) throw new TypeError('a ticket record field holds a line break');
  return field;
}

function untabbed(room: string): string {
  if (room.includes('\t')) throw new TypeError('a room name holds a tab');
  return room;
}
