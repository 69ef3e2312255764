/** A room's name: 1 to 128 characters, none of them a control character. */
export const roomPattern = '^[^\\u0000-\\u001f\\u007f-\\u009f]{1,128}$';

const form = new RegExp(roomPattern, 'u');

export function isRoom(value: unknown): value is string {
  return typeof value === 'string' && form.test(value);
}
