import { Command, InvalidArgumentError, Option } from 'commander';
import { bearer, postJson, urlOption } from './broker.ts';
import { trustedCaOption } from './ca-option.ts';
import { examples } from './help.ts';
import { readSecret } from './input.ts';
import { tokenOption } from './token-option.ts';

interface TicketOptions {
  url: string;
  token?: string;
  room?: string[];
  ttl?: number;
}

export function ticketCommand(): Command {
  return new Command('ticket')
    .description('mint a ticket at a running broker and print it')
    .addOption(tokenOption('; read from standard input where it is not given'))
    .option('--room <room...>', 'only for these rooms')
    .addOption(new Option('--ttl <seconds>', 'how long it lives').argParser(seconds))
    .addOption(urlOption())
    .addOption(trustedCaOption())
    .addHelpText(
      'after',
      examples(
        'ticket-broker ticket --token "$TOKEN"',
        'ticket-broker token alice | ticket-broker ticket --room lobby tech --ttl 10',
      ),
    )
    .action(async ({ url, token, room, ttl }: TicketOptions) => {
      const authorization = bearer((token ?? (await readSecret('Token: '))).trim(), 'token');
      const wishes = { ...(room && { rooms: room }), ...(ttl !== undefined && { ttl }) };
      const { ticket } = await postJson<{ ticket: string }>(
        url,
        '/tickets',
        wishes,
        (answer) => typeof answer.ticket === 'string',
        authorization,
      );
      console.log(ticket);
    });
}

function seconds(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number of seconds.');
}
