import { Command, InvalidArgumentError, Option } from 'commander';
import type { Token } from '../client/client.ts';
import { bearer, pathOption, urlOption } from './broker.ts';
import { trustedCaOption } from './ca-option.ts';
import { chat } from './chat.ts';
import { examples } from './help.ts';
import { readSecret } from './input.ts';
import { type Lines, standardInput } from './lines.ts';
import { logIn } from './login.ts';
import { talk } from './one-ticket.ts';
import { type Protocol, protocolOptions } from './protocol-option.ts';
import { tokenOption } from './token-option.ts';

interface ConnectOptions {
  url: string;
  path: string;
  protocol: Protocol;
  room?: string;
  token?: string;
  login?: string;
  json?: boolean;
  wait: number;
  patience: number;
}

export function connectCommand(): Command {
  const [protocol, noProtocol] = protocolOptions();
  return new Command('connect')
    .description(
      'open a WebSocket: once with a ticket, or with a token or login as a chat client that reconnects with fresh tickets',
    )
    .argument('[ticket]', 'opens one socket; without token and login, read from standard input')
    .addOption(tokenOption(''))
    .addOption(
      new Option(
        '--login <username>',
        'log in; the password is asked for, or is the first line of what is piped in',
      ).conflicts('token'),
    )
    .option(
      '--room <room>',
      'talk there; with a token or login also join it, for its history and who is there',
    )
    .option('--json', 'print messages as they come, a line of JSON each')
    .addOption(
      new Option('--wait <seconds>', 'go on listening after the end of what is piped in')
        .argParser(seconds)
        .default(1),
    )
    .addOption(
      new Option(
        '--patience <seconds>',
        'with a token or login, end with exit status 1 when a line that is piped in has waited so long for a connection',
      )
        .argParser(seconds)
        .default(300),
    )
    .addOption(pathOption('of the WebSocket').default('/ws'))
    .addOption(protocol)
    .addOption(noProtocol)
    .addOption(urlOption())
    .addOption(trustedCaOption())
    .addHelpText(
      'after',
      `
With a token or login, a line is sent as the text of a message, or as it is where it begins with {.
While there is no connection, what is piped in waits; where a line is not sent after all, the exit status is 1.
With a ticket, all lines are sent as they are; what comes is printed in one line each, JSON in one spelling. Where nothing is piped in, it ends only if --wait is given.
${examples(
  'ticket-broker connect "$TICKET"',
  `echo '{"type":"test","payload":{"message":"Hello"}}' | ticket-broker connect "$TICKET" --wait 5`,
  'ticket-broker connect --login alice --room lobby',
  `echo '{"type":"test","payload":{"message":"Hello"}}' | ticket-broker connect --token "$TOKEN"`,
  'ticket-broker connect --token "$TOKEN" --room lobby --json --wait 60 < /dev/null | jq -r .user',
)}`,
    )
    .action(connect);
}

async function connect(ticket: string | undefined, options: ConnectOptions, command: Command): Promise<void> {
  const { path, protocol, room, token, login, json = false, wait, patience } = options;
  const url = new URL(path, options.url);
  url.protocol = url.protocol.replace('http', 'ws');
  if (room !== undefined) url.searchParams.set('room', room);

  const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
  if (ticket !== undefined && (isGiven('token') || login !== undefined)) {
    command.error('error: a ticket opens one socket: it goes with neither --token nor --login');
  }
  if (ticket !== undefined || (token === undefined && login === undefined)) {
    return talk({
      url,
      protocol,
      ticket: worded(ticket ?? (await readSecret('Ticket: '))),
      json,
      lingerMs: wait * 1000,
      staysIfMute: !isGiven('wait'),
    });
  }
  // Asked for before anything else reads the terminal.
  const typed =
    login !== undefined && process.stdin.isTTY ? await readSecret(`Password of ${login}: `) : undefined;
  const lines = standardInput();
  try {
    await chat({
      url,
      protocol,
      token: await credentialOf(options, typed, lines),
      room: room ?? (lines.editor ? 'lobby' : undefined),
      json,
      lines,
      lingerMs: wait * 1000,
      patienceMs: patience * 1000,
    });
  } finally {
    lines.close();
  }
}

/** @throws Error for what cannot be the ticket of any server, without quoting it */
function worded(ticket: string): string {
  if (/^[\w-]+$/.test(ticket)) return ticket;
  throw new Error(`the ticket ${ticket === '' ? 'is empty' : 'holds characters that none has'}`);
}

async function credentialOf(
  { url, token, login }: ConnectOptions,
  typed: string | undefined,
  lines: Lines,
): Promise<Token> {
  if (login !== undefined) return logIn(url, login, typed ?? (await lines.next()));
  const given = token?.trim() ?? '';
  bearer(given, 'token');
  return given;
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('It is a number of seconds, a day at most.');
}
