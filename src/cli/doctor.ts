import { accessSync, constants } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { type Finding, type Severity, severities } from '../doctor/finding.ts';
import type { Credential } from '../doctor/probe-ticket.ts';
import { bearer, brokerUrl, pathOption } from './broker.ts';
import { caOption } from './ca-option.ts';
import { examples } from './help.ts';
import { jsonLine, printable } from './printable.ts';
import { progress } from './progress.ts';
import { givenKey, keyFileOption } from './service-key.ts';
import { tokenOption } from './token-option.ts';

interface DoctorOptions {
  url?: string;
  node: string[];
  path?: string;
  ca?: string;
  insecure?: boolean;
  keyFile?: string;
  token?: string;
  proxyLog?: string;
  json?: boolean;
  verbose?: boolean;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check a running deployment: what is wrong with it, and what to do')
    .option('--url <url>', 'where its visitors come in: https://broker.example', brokerUrl)
    .option('--node <url...>', 'a node to be asked directly; at every address that its name has', urls, [])
    .addOption(pathOption('of the WebSocket at --url; default: WS_PATH, else /ws'))
    .addOption(caOption())
    .option('--insecure', 'go on though that certificate is not trusted')
    .addOption(keyFileOption('; with tickets:mint, revoke and sessions:read it sees most').conflicts('token'))
    .addOption(tokenOption(', to mint with instead'))
    .option('--proxy-log <file>', 'what the proxy logs: no ticket may be in there', readable)
    .option('--verbose', 'print also what is well, and what could not be looked at')
    .option('--json', 'print one JSON object: {ok, counts, findings}')
    .addHelpText(
      'after',
      `
The environment is that of serve: run it where a node runs. Without REDIS_URL, only what is given is looked at.
It opens a few sockets and gets some of them refused, and revokes a session that nobody has: nobody else notices.
${examples(
  'ticket-broker doctor --url https://broker.example --key-file ops.key',
  'ticket-broker doctor --url https://broker.example --proxy-log /var/log/nginx/access.log --json | jq .findings',
  'docker-compose exec http ticket-broker doctor --url https://lb:8443 --insecure --node http://http:8080 http://ws:8080',
)}
Exit status: 0 nothing worse than warnings, 1 faults, 2 nothing could be checked.`,
    )
    .action(doctor);
}

async function doctor(options: DoctorOptions, command: Command): Promise<void> {
  const { url, node, path, ca, insecure = false, proxyLog, json = false, verbose = false } = options;
  const credential = await credentialOf(options).catch((error: Error) => unable(command, error.message));
  // Loaded when it is needed: it brings half of a server.
  const { examine, isOfBroker } = await import('../doctor/examine.ts');
  if (url === undefined && node.length === 0 && proxyLog === undefined && !isOfBroker(process.env)) {
    unable(
      command,
      'there is nothing to check: give --url, or the environment of `serve` with its REDIS_URL',
    );
  }

  let what = '';
  const findings: Finding[] = [];
  {
    using shown = progress(() => what);
    const examination = examine({
      env: process.env,
      url: url === undefined ? undefined : new URL(url),
      nodes: node.map((one) => new URL(one)),
      path,
      ca,
      insecure,
      credential,
      proxyLog,
      now: Date.now,
      doing: (next) => {
        what = next;
      },
    });
    for await (const finding of examination) {
      findings.push(finding);
      if (json || (!verbose && ['ok', 'skipped'].includes(finding.severity))) continue;
      shown.hide();
      print(finding);
    }
  }
  const counts = Object.fromEntries(
    severities.map((severity) => [
      severity,
      findings.filter((finding) => finding.severity === severity).length,
    ]),
  ) as Record<Severity, number>;
  const nothing = findings.length === counts.skipped;
  if (json) console.log(jsonLine({ ok: counts.fault === 0 && !nothing, counts, findings }));
  else console.log(`${nothing ? 'nothing could be checked: ' : ''}${summary(counts, verbose)}`);
  if (nothing) process.exitCode = 2;
  if (counts.fault > 0) process.exitCode = 1;
}

/** Not read from standard input unless asked to: a check that waits for something to be typed is none. */
async function credentialOf({ keyFile, token }: DoctorOptions): Promise<Credential | undefined> {
  const key = await givenKey(keyFile);
  if (key !== undefined) return { kind: 'key', authorization: bearer(key, 'service key') };
  return token === undefined ? undefined : { kind: 'token', authorization: bearer(token.trim(), 'token') };
}

function unable(command: Command, why: string): never {
  return command.error(`error: ${why}`, { exitCode: 2 });
}

function print({ id, severity, says, todo }: Finding): void {
  console.log(printable(`${severity.padEnd(8)} ${id.padEnd(18)} ${says}`));
  if (todo) console.log(printable(`${' '.repeat(28)}${todo}`));
}

function summary(counts: Record<Severity, number>, verbose: boolean): string {
  const named = severities.filter((severity) => counts[severity] > 0);
  const text = named
    .map((severity) => `${counts[severity]} ${plural(severity, counts[severity])}`)
    .join(', ');
  return counts.skipped > 0 && !verbose ? `${text} (--verbose tells why)` : text;
}

function plural(severity: Severity, count: number): string {
  return count === 1 || severity === 'ok' || severity === 'skipped' ? severity : `${severity}s`;
}

function readable(path: string): string {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw new InvalidArgumentError(`It cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  return path;
}

function urls(text: string, before: string[]): string[] {
  return [...before, brokerUrl(text)];
}
