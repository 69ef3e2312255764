import { Command, InvalidArgumentError, Option } from 'commander';
import { postJson, urlOption } from './broker.ts';
import { trustedCaOption } from './ca-option.ts';
import { examples } from './help.ts';
import { progress } from './progress.ts';
import { keyFileOption, serviceKey } from './service-key.ts';

interface RevokeOptions {
  url: string;
  keyFile?: string;
  sub?: string;
  before?: number;
  session?: string;
  ticket?: string;
  reason?: string;
}

export function revokeCommand(): Command {
  return new Command('revoke')
    .description(
      'end a subject, one session or one ticket, on all nodes; needs a service key of scope revoke',
    )
    .addOption(new Option('--sub <sub>', 'all that this subject has').conflicts(['session', 'ticket']))
    .addOption(
      new Option(
        '--before <time>',
        'spare what was authenticated later: 2026-11-05T12:00:00Z or Unix seconds; default: now',
      )
        .argParser(unixSeconds)
        .conflicts(['session', 'ticket']),
    )
    .addOption(
      new Option('--session <id>', 'one session, as `ticket-broker sessions` lists it').conflicts('ticket'),
    )
    .option('--ticket <ticket_id>', 'one ticket by its id, or the session that it opened')
    .option('--reason <text>', 'told to the clients whose sockets close')
    .addOption(keyFileOption())
    .addOption(urlOption())
    .addOption(trustedCaOption())
    .addHelpText(
      'after',
      examples(
        'ticket-broker revoke --sub alice --reason "left the company" --key-file ops.key',
        'ticket-broker revoke --sub alice --before 2026-11-05T12:00:00Z',
        'TICKET_BROKER_KEY=$(pass broker/ops) ticket-broker revoke --session q0_OfJsFNNXXLIxMqkXY3g',
      ),
    )
    .action(revoke);
}

async function revoke(options: RevokeOptions, command: Command): Promise<void> {
  const { url, keyFile, sub, before, session, ticket, reason } = options;
  if (sub === undefined && session === undefined && ticket === undefined) {
    command.error('error: one of --sub, --session and --ticket is required');
  }
  // Not by an argParser, whose error quotes what was given: it may be a ticket.
  if (ticket?.startsWith('wst_')) {
    command.error('error: --ticket takes the ticket_id, as the mint and the log tell it, not the ticket');
  }
  if (!/^[\w-]{22}$/.test(session ?? ticket ?? 'A'.repeat(22))) {
    command.error(`error: ${session ? '--session' : '--ticket'} takes an id of 22 letters, digits, - and _`);
  }
  const target = {
    ...(sub !== undefined && { sub }),
    ...(before !== undefined && { issued_before: before }),
    ...(session !== undefined && { session_id: session }),
    ...(ticket !== undefined && { ticket_id: ticket }),
    ...(reason !== undefined && { reason }),
  };
  const authorization = await serviceKey(keyFile);
  using _ = progress(() => 'revoking');
  const { sessions } = await postJson<{ sessions: number }>(
    url,
    '/revocations',
    target,
    (answer) => typeof answer.sessions === 'number',
    authorization,
  );
  console.log(`revoked: ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`);
}

function unixSeconds(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new InvalidArgumentError('It is no time.');
  return time / 1000;
}
