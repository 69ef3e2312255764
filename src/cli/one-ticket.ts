import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { WebSocket } from 'ws';

/**
 * Opens a socket with a ticket: prints what it receives as it came, sends the lines of standard input as they are.
 * Settles when the socket has closed.
 *
 * @throws Error with the refusal's status and code
 */
export function talk(url: URL, ticket: string): Promise<void> {
  const socket = new WebSocket(url, ['ticket-broker', `ticket.${ticket}`], { handshakeTimeout: 10_000 });
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (request, response) => {
      // A proxy keeps the connection for another request, and us waiting.
      void refusal(response)
        .then(reject)
        .finally(() => request.socket?.destroy());
    });
    socket.on('error', () => reject(new Error(`${url.origin} (--url) cannot be reached`)));
    socket.on('message', (data) => console.log(String(data)));
    socket.on('close', (code, reason) => {
      console.error(`closed: ${code} ${reason}`);
      resolve();
    });
    socket.on('open', () => {
      const lines = createInterface({ input: process.stdin });
      lines.on('line', (line) => socket.send(line));
      socket.on('close', () => lines.close());
    });
  });
}

async function refusal(response: IncomingMessage): Promise<Error> {
  const { error = 'not by a broker', error_description = '' } = (await json(response).catch(
    () => ({}),
  )) as Record<string, string>;
  return new Error(`refused: ${response.statusCode} ${error}: ${error_description}`);
}
