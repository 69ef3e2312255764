import { InvalidArgumentError, Option } from 'commander';

/** The subprotocol that is offered beside the ticket; false: none, and the ticket is in the URL. */
export type Protocol = string | false;

/** `--protocol` and `--no-protocol`. */
export function protocolOptions(): [Option, Option] {
  return [
    new Option('--protocol <name>', 'the subprotocol that the server selects, where it is not a broker')
      .argParser(token)
      .default('ticket-broker'),
    new Option('--no-protocol', 'offer none: the ticket goes into the URL, which logs may keep'),
  ];
}

/** RFC 6455 4.1, 10. */
function token(text: string): string {
  if (/^[\w!#$%&'*+.^`|~-]+$/.test(text) && !text.startsWith('ticket.')) return text;
  throw new InvalidArgumentError('It is a name such as chat.v2.');
}
