import { textPart } from './text.ts';

/** A room's name: 1 to 128 characters, with no ticket or refresh token among them, for it becomes a key and a line of the log. */
export const roomPattern = `^(?!.*(?:wst_[A-Za-z0-9_-]{43}|wsr_[A-Za-z0-9_-]{22}\\.))${textPart(128)}$`;

/** How many rooms a mint may name, and how many it is given where it names none. */
export const mostRooms = 100;

const form = new RegExp(roomPattern, 'u');

export function isRoom(value: unknown): value is string {
  return typeof value === 'string' && form.test(value);
}
