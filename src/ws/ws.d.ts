import 'ws';

/** Exported by `ws` since 8.19; @types/ws 8.18 does not know it yet. */
declare module 'ws' {
  /** RFC 6455 11.3.4. `parse` throws SyntaxError for a malformed or repeated name. */
  export const subprotocol: { parse(header: string): Set<string> };
}
