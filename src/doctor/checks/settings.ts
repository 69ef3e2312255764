import type { Config } from '../../config.ts';
import { type CredentialsFile, credentialsFileFaults } from '../../credentials/files.ts';
import { type Finding, fault, notice, ok, warning } from '../finding.ts';
import { isGuessable } from '../guessable.ts';
import { isPublicHost } from '../public-host.ts';

/** What the environment says, without asking anybody. */
export function checkSettings(config: Config, env: NodeJS.ProcessEnv): Finding[] {
  return [
    ok('config', 'The environment can be used.'),
    ...config.misspelt.map((text) => warning('config-names', text, 'Mend its name, or take it out.')),
    ...checkFile(config, 'USERS_FILE'),
    ...checkFile(config, 'SERVICE_KEYS_FILE'),
    ...checkSecret(config, env),
    checkOrigins(config),
    ...checkLimits(config),
    ...checkWays(config),
  ];
}

function checkFile(config: Config, variable: CredentialsFile): Finding[] {
  const path = config[variable];
  if (path === undefined) return [];
  const id = variable.toLowerCase().replaceAll('_', '-');
  const [wrong] = credentialsFileFaults({ [variable]: path });
  return wrong === undefined
    ? [ok(id, `${variable} can be used.`)]
    : [fault(id, `${wrong}.`, 'Mend it: a broker refuses to start with it.')];
}

function checkSecret({ JWT_SECRET }: Config, env: NodeJS.ProcessEnv): Finding[] {
  if (!JWT_SECRET) return [];
  const findings: Finding[] = [];
  if (JWT_SECRET.some((secret) => isGuessable(secret))) {
    findings.push(
      fault(
        'jwt-secret',
        'JWT_SECRET looks like an example or like something typed: who guesses it signs tokens for everybody.',
        'Put a random one in its place, such as `openssl rand -base64 48` prints; "new,old" keeps old tokens good meanwhile.',
      ),
    );
  } else findings.push(ok('jwt-secret', 'JWT_SECRET looks random.'));
  if (env['JWT_SECRET']) {
    findings.push(
      notice(
        'jwt-secret-source',
        'JWT_SECRET is in the environment, which child processes and `docker inspect` show.',
        'Name a file instead: JWT_SECRET_FILE.',
      ),
    );
  }
  return findings;
}

function checkOrigins({ allowedOrigins }: Config): Finding {
  if (allowedOrigins !== '*') return ok('origins', 'Only named origins, or the same host, may connect.');
  return warning(
    'origins',
    'ALLOWED_ORIGINS is *: any page may ask for tickets and open sockets for its visitors.',
    'Name the origins of your own pages.',
  );
}

function checkLimits(config: Config): Finding[] {
  const off = (['ATTEMPT_LIMIT', 'LOGIN_LIMIT'] as const).filter((name) => config[name] === 0);
  if (off.length === 0) return [ok('limits', 'Attempts and logins are limited.')];
  const names = off.join(' and ');
  return [
    warning('limits', `${names} of 0: guessing costs nothing.`, `Leave ${names} out, or set more than 0.`),
  ];
}

/** Ways in that are open to more than they need to be. */
function checkWays({ TIERS, WS_ACCEPT, PUBLIC_WS_URL, demo, demoAlone }: Config): Finding[] {
  const findings: Finding[] = [];
  if (demo && TIERS.has('http')) {
    findings.push(
      warning(
        'demo',
        'The demo is on: whoever comes is let in, as the user demo.',
        demoAlone ? 'Say who may come in, with USERS_FILE or JWKS_URL.' : 'Leave DEMO out in production.',
      ),
    );
  }
  if (WS_ACCEPT.has('token')) {
    findings.push(
      notice(
        'token-in-url',
        'WS_ACCEPT takes ?token=: URLs, and the logs that keep them, then hold tokens that open more than one socket.',
        'Leave `token` out as soon as your clients know tickets.',
      ),
    );
  }
  if (PUBLIC_WS_URL?.startsWith('ws:') && isPublicHost(new URL(PUBLIC_WS_URL).hostname)) {
    findings.push(
      warning(
        'public-ws-url',
        'PUBLIC_WS_URL is ws://, in clear.',
        'Make it wss://, with TLS in your proxy.',
      ),
    );
  }
  return findings;
}
