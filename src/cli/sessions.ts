import { Command } from 'commander';
import type { Static } from 'typebox';
import type { SessionPage } from '../http/session-schemas.ts';
import { callBroker, urlOption } from './broker.ts';
import { trustedCaOption } from './ca-option.ts';
import { examples } from './help.ts';
import { jsonLine, printable } from './printable.ts';
import { type Progress, progress } from './progress.ts';
import { keyFileOption, serviceKey } from './service-key.ts';

interface SessionsOptions {
  url: string;
  keyFile?: string;
  sub?: string;
  json?: boolean;
}

type Page = Static<typeof SessionPage>;
type Session = Page['sessions'][number];

export function sessionsCommand(): Command {
  return new Command('sessions')
    .description('list who is connected, on all nodes; needs a service key of scope sessions:read')
    .option('--sub <sub>', 'only the sessions of this subject')
    .option('--json', 'print each session as a line of JSON')
    .addOption(keyFileOption())
    .addOption(urlOption())
    .addOption(trustedCaOption())
    .addHelpText(
      'after',
      examples(
        'ticket-broker sessions --key-file ops.key',
        'ticket-broker sessions --sub alice --json --key-file ops.key | jq -r .ip',
      ),
    )
    .action(async ({ url, keyFile, sub, json = false }: SessionsOptions) => {
      const authorization = await serviceKey(keyFile);
      let count = 0;
      using shown = progress(() => `listing sessions: ${count} so far`);
      for await (const sessions of pages(url, authorization, sub)) {
        print(sessions, { json, first: count === 0, shown });
        count += sessions.length;
      }
      shown.hide();
      if (!json) console.error(`${count} ${count === 1 ? 'session' : 'sessions'}`);
    });
}

async function* pages(url: string, authorization: string, sub: string | undefined) {
  const query = new URLSearchParams(sub === undefined ? {} : { sub });
  for (;;) {
    const page = await callBroker<Page>(
      url,
      `/sessions?${query}`,
      { headers: { authorization } },
      ({ sessions }) => Array.isArray(sessions),
    );
    yield page.sessions;
    if (page.cursor === undefined) return;
    query.set('cursor', page.cursor);
  }
}

function print(sessions: Session[], how: { json: boolean; first: boolean; shown: Progress }): void {
  if (sessions.length === 0) return;
  if (process.stdout.isTTY) how.shown.hide();
  const lines = how.json ? sessions.map(jsonLine) : sessions.map(row);
  if (how.first && !how.json) lines.unshift(header);
  console.log(lines.join('\n'));
}

/** What varies in length comes last, so that a page need not know the next one. */
const columns = (id: string, since: string, until: string, via: string, ip: string, rest: string) =>
  [id.padEnd(22), since.padEnd(20), until.padEnd(20), via.padEnd(8), ip.padEnd(15), rest].join('  ');
const header = columns('SESSION', 'SINCE', 'UNTIL', 'VIA', 'IP', 'NODE  SUB');

function row({ session_id, sub, username, node, ip, since, exp, via }: Session): string {
  const who = username === sub ? sub : `${sub} (${username})`;
  return columns(session_id, time(since), time(exp), via, ip, `${node}  ${printable(who)}`);
}

function time(unixSeconds: number): string {
  return `${new Date(unixSeconds * 1000).toISOString().slice(0, 19)}Z`;
}
