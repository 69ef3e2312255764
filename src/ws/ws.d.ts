import 'ws';

/** Exported by `ws`; @types/ws 8.18 does not know it. */
declare module 'ws' {
  /** Takes frames apart. */
  export const Receiver: typeof import('node:stream').Writable;
  /** RFC 6455 11.3.4. `parse` throws SyntaxError for a malformed or repeated name. */
  export const subprotocol: { parse(header: string): Set<string> };
}
