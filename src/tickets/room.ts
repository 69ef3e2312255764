import { harmlessPattern } from '../text.ts';

/** A room's name: 1 to 128 characters. */
export const roomPattern = harmlessPattern(128);

/** How many rooms a mint may name, and how many it is given where it names none. */
export const mostRooms = 100;

const form = new RegExp(roomPattern, 'u');

export function isRoom(value: unknown): value is string {
  return typeof value === 'string' && form.test(value);
}
