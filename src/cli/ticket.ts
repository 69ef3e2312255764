import { Command } from 'commander';
import { callBroker, urlOption } from './broker.ts';
import { readSecret } from './input.ts';

interface TicketOptions {
  url: string;
  token?: string;
  room?: string[];
  ttl?: string;
}

export function ticketCommand(): Command {
  return new Command('ticket')
    .description('mint a ticket at a running broker and print it')
    .option('--token <token>', 'the token; read from standard input where it is not given')
    .option('--room <room...>', 'only for these rooms')
    .option('--ttl <seconds>', 'how long it lives')
    .addOption(urlOption())
    .action(async ({ url, token, room, ttl }: TicketOptions) => {
      const bearer = token ?? (await readSecret('Token: '));
      const { ticket } = await callBroker<{ ticket: string }>(url, '/tickets', {
        method: 'POST',
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...(room && { rooms: room }), ...(ttl && { ttl: Number(ttl) }) }),
      });
      console.log(ticket);
    });
}
