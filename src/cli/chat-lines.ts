import { printable } from './printable.ts';

/** A message as it came: everything in it is somebody else's choice. */
type Heard = Record<string, unknown>;

/**
 * A message for people, in lines.
 *
 * @param own the room whose name need not be said
 */
export function readable(message: unknown, own: string | undefined): string[] {
  const heard = (isObject(message) ? message : { type: '', text: message }) as Heard;
  const { type, room, user, members, status, error, error_description } = heard;
  const where = typeof room === 'string' && room !== own ? ` in ${room}` : '';
  switch (type) {
    case 'joined':
      return [`-- joined ${room}: ${listed(members)}`].map(printable);
    case 'left':
      return [printable(`-- left ${room}`)];
    case 'presence':
      return [printable(`-- ${user} has ${status === 'joined' ? 'joined' : 'left'}${where}`)];
    case 'error':
      return [printable(`! ${error}: ${error_description}`)];
  }
  if (typeof user !== 'string') return [printable(JSON.stringify(message))];
  const text = textIn(heard);
  const kind = text === undefined ? ` (${type})` : '';
  return [`${clock(heard['timestamp'])} ${printable(`${user}${where}${kind}: ${text ?? rest(heard)}`)}`];
}

/** What the answer to a join tells of what was said before, oldest first. */
export function historyIn(message: unknown): Heard[] {
  const { type, history } = (message ?? {}) as Heard;
  return type === 'joined' && Array.isArray(history) ? history.filter(isObject) : [];
}

/**
 * What a typed line is sent as: JSON as it is, anything else as the text of a message.
 *
 * @throws Error for a line that looks like JSON and is none: the server would close the socket
 */
export function spoken(line: string, room: string | undefined): string {
  if (!line.startsWith('{')) {
    return JSON.stringify({ type: 'message', ...(room !== undefined && { room }), payload: { text: line } });
  }
  try {
    JSON.parse(line);
  } catch {
    throw new Error('a line that begins with { has to be JSON');
  }
  return line;
}

function textIn({ type, payload }: Heard): string | undefined {
  const text = isObject(payload) ? payload['text'] : undefined;
  return type === 'message' && typeof text === 'string' ? text : undefined;
}

/** What is left of a message without what is said of it already. */
function rest({ type, room, user, timestamp, requestId, ...others }: Heard): string {
  const { payload = others } = others;
  return JSON.stringify(payload);
}

function clock(timestamp: unknown): string {
  const time = new Date(typeof timestamp === 'number' ? timestamp * 1000 : Number.NaN);
  return Number.isNaN(time.getTime()) ? '[?]' : `[${time.toLocaleTimeString('en-GB')}]`;
}

function listed(members: unknown): string {
  const names = Array.isArray(members) ? members.map(String) : [];
  return names.length > 20
    ? `${names.slice(0, 20).join(', ')} and ${names.length - 20} more`
    : names.join(', ');
}

function isObject(value: unknown): value is Heard {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
