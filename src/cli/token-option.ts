import { Option } from 'commander';

/** A user's token. It lives for an hour, so that it may be an argument; the environment keeps it to ourselves. */
export function tokenOption(otherwise: string): Option {
  return new Option('--token <token>', `the user's token${otherwise}`).env('TICKET_BROKER_TOKEN');
}
