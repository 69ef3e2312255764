import { secretForm } from './secret-forms.ts';

/**
 * Part of a pattern: what names somebody or something, as a regular expression with the flag `u`: so many characters at most, none of them a control
 * character, since names go into logs, headers and records, or half of a surrogate pair, since UTF-8 has one replacement for
 * them all, and different names would be one in the store.
 */
export function textPart(most: number): string {
  return `[^\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]{1,${most}}`;
}

/** The whole of such a text. */
export const textPattern = (most: number): string => `^${textPart(most)}$`;

/** The whole of such a text with no secret in it: what becomes a key, or a line of the log. */
export const harmlessPattern = (most: number): string =>
  // The length first: whoever may send much is not to have all of it looked through.
  `^(?=${textPart(most)}$)(?![\\s\\S]*(?:${secretForm}))`;
