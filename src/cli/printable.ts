/**
 * What others have written, without the characters that make a terminal do things, or show the text in another order than it
 * has: it could otherwise rewrite what stands above it.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '\ufffd');
}
