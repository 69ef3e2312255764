/** Why `fetch` got no answer, in a word: ECONNREFUSED and the like. It is in the cause; a message may quote the URL or a key. */
export function fetchFailure(error: Error): string {
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  // That of a DOMException is a number.
  return typeof code === 'string' ? code : error.name;
}
