import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { readRefusal } from '../refused-handshake.ts';
import { jsonLine, printable } from './printable.ts';
import type { Protocol } from './protocol-option.ts';

export interface TalkOptions {
  /** Of the WebSocket. */
  url: URL;
  protocol: Protocol;
  ticket: string;
  /** Print what is no JSON as JSON, too. */
  json: boolean;
  /** Milliseconds to go on listening after the end of what is piped in. */
  lingerMs: number;
  /** Stay where nothing at all is piped in, as from /dev/null. */
  staysIfMute: boolean;
}

/** With nothing wrong, or without saying anything: RFC 6455 7.4.1. */
const normal = new Set([1000, 1005]);

/**
 * Opens a socket with a ticket: prints what it receives, sends the lines of standard input as they are. Settles when the
 * socket has closed, by us or normally.
 *
 * @throws Error with the refusal's status and code, saying what kept it from being answered, or what it was closed for
 */
export function talk(options: TalkOptions): Promise<void> {
  const { url, protocol, ticket, json, lingerMs, staysIfMute } = options;
  const at = new URL(url);
  if (protocol === false) at.searchParams.set('ticket', ticket);
  const offered = protocol === false ? [] : [protocol, `ticket.${ticket}`];
  const socket = new WebSocket(at, offered, { handshakeTimeout: 10_000 });
  let over = false;
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (request, response) => {
      // A proxy keeps the connection for another request, and us waiting.
      void readRefusal(response)
        .then(({ status, code, description }) => {
          const why = [`${status} ${code || 'not by a broker'}`, description].filter(Boolean).join(': ');
          reject(new Error(`refused: ${why}`));
        })
        .finally(() => request.socket?.destroy());
    });
    socket.on('error', (error) => reject(new Error(`${url.origin} (--url) ${failureIn(error)}`)));
    socket.on('message', (data) => console.log(shown(String(data), json)));
    socket.on('close', (code, reason) => {
      const closed = `closed: ${code} ${reason}`.trimEnd();
      if (!over && !normal.has(code)) return reject(new Error(closed));
      console.error(printable(closed));
      resolve();
    });
    socket.on('open', () => {
      const lines = createInterface({ input: process.stdin });
      let isMute = true;
      lines.on('line', (line) => {
        isMute = false;
        socket.send(line);
      });
      const linger = () => {
        if (process.stdin.isTTY || (isMute && staysIfMute) || socket.readyState !== WebSocket.OPEN) return;
        const end = setTimeout(() => {
          over = true;
          socket.close(1000);
        }, lingerMs);
        socket.on('close', () => clearTimeout(end));
      };
      // Where the ticket itself was piped in, that was all of it, and what has ended does not end again.
      if (process.stdin.readableEnded) linger();
      else lines.on('close', linger);
      socket.on('close', () => lines.close());
    });
  });
}

/** What `ws` says of a failed handshake: in its own words, where nothing of the server's is in them. */
function failureIn({ code, message }: NodeJS.ErrnoException): string {
  if (code !== undefined) return `cannot be reached: ${code}`;
  if (!message.includes('subprotocol')) return `did not open a WebSocket: ${message}`;
  return `selected no subprotocol that was offered: --protocol names its own, --no-protocol offers none`;
}

/** In one line, and nothing in it makes a terminal do things. */
function shown(text: string, json: boolean): string {
  try {
    return jsonLine(JSON.parse(text));
  } catch {
    return json ? jsonLine(text) : printable(text);
  }
}
