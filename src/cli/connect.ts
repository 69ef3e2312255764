import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { Command } from 'commander';
import { WebSocket } from 'ws';
import { urlOption } from './broker.ts';
import { readSecret } from './input.ts';

export function connectCommand(): Command {
  return new Command('connect')
    .description('open a WebSocket with a ticket: prints what it receives, sends the lines that are typed')
    .argument('[ticket]', 'read from standard input where it is not given')
    .option('--path <path>', 'of the WebSocket', '/ws')
    .option('--room <room>', 'ask for a room that the ticket must allow')
    .addOption(urlOption())
    .action(async (ticket: string | undefined, options: { url: string; path: string; room?: string }) => {
      const url = new URL(options.path, options.url);
      url.protocol = url.protocol.replace('http', 'ws');
      if (options.room) url.searchParams.set('room', options.room);
      await talk(url, ticket ?? (await readSecret('Ticket: ')));
    });
}

/** Settles when the socket has closed. @throws Error with the refusal's status and code */
function talk(url: URL, ticket: string): Promise<void> {
  const socket = new WebSocket(url, ['ticket-broker', `ticket.${ticket}`], { handshakeTimeout: 10_000 });
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (_request, response) => refusal(response).then(reject, reject));
    socket.on('error', () => reject(new Error(`${url.origin} cannot be reached`)));
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
  const { error, error_description } = (await json(response)) as Record<string, string>;
  return new Error(`refused: ${response.statusCode} ${error}: ${error_description}`);
}
