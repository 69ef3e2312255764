import { createTicketSocket } from '../../src/client/client.ts';

/**
 * Many clients in a process of their own: `node client-crowd.ts URL TOKEN COUNT`. Prints a JSON line for every change of a
 * client's state: `{"n":7,"at":<Unix ms>,"status":"connected"}`.
 */
const [url = '', token = '', count = '0'] = process.argv.slice(2);

for (let n = 0; n < Number(count); n++) {
  const socket = createTicketSocket({ url, token: () => token });
  socket.on('status', ({ status }) => console.log(JSON.stringify({ n, at: Date.now(), status })));
  // As people come: not all in the same instant.
  if (n % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 20));
}
