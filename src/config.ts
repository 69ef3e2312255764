import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import ipaddr from 'ipaddr.js';
import { type Static, Type } from 'typebox';
import { privateKeys } from './credentials/signing-keys.ts';
import type { RedisTls } from './store/redis-client.ts';
import { parseRedisUrl } from './store/redis-url.ts';
import { secrets, variables } from './variables.ts';
import type { Transport } from './ws/gate.ts';

const schema = Type.Object(variables);
type Variables = Static<typeof schema>;

export interface Config extends Readonly<Omit<Variables, 'TIERS' | 'WS_PATH' | 'WS_ACCEPT' | 'JWT_SECRET'>> {
  /** What the REDIS_*_FILE variables name, read. */
  readonly redisTls: RedisTls;
  readonly TIERS: ReadonlySet<'http' | 'ws'>;
  readonly WS_PATH: readonly string[];
  readonly WS_ACCEPT: ReadonlySet<Transport>;
  readonly JWT_SECRET: readonly string[] | undefined;
  /** CIDRs, parsed; empty: no forwarded header is believed. */
  readonly trustedProxies: readonly string[];
  /** `'*'`: every origin; undefined: the same host only. */
  readonly allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** The demo page is served, and a token of the demo user to whoever asks. */
  readonly demo: boolean;
  /** And that user is the only one: one process on its embedded store, with nobody configured who could come in. */
  readonly demoAlone: boolean;
}

/** All that is wrong with the environment, one sentence each, by variable name and without values. */
export class ConfigFault extends Error {
  override readonly name = 'ConfigFault';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

/**
 * The only reader of the environment.
 *
 * @throws ConfigFault with every fault at once
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const faults: string[] = [];
  const values = parse(withSecretFiles(env, faults), faults);
  const { REDIS_URL, USERS_FILE, JWKS_URL, SERVICE_KEYS_FILE, DEMO } = values;
  const alone = !REDIS_URL && !USERS_FILE && !JWKS_URL && !SERVICE_KEYS_FILE;
  const demo = DEMO === undefined ? alone : DEMO === 'on';
  const config = {
    ...values,
    TIERS: new Set(list(values.TIERS)) as Config['TIERS'],
    WS_PATH: list(values.WS_PATH),
    WS_ACCEPT: new Set(list(values.WS_ACCEPT)) as Config['WS_ACCEPT'],
    JWT_SECRET: values.JWT_SECRET === undefined ? undefined : list(values.JWT_SECRET),
    redisTls: {
      ...fileIn(values, 'REDIS_CA_FILE', 'ca', faults),
      ...fileIn(values, 'REDIS_CERT_FILE', 'cert', faults),
      ...fileIn(values, 'REDIS_KEY_FILE', 'key', faults),
    },
    trustedProxies: list(values.TRUST_PROXY),
    allowedOrigins: origins(values.ALLOWED_ORIGINS),
    demo,
    demoAlone: demo && alone,
  } satisfies Config;
  faults.push(...contradictions(config));
  if (faults.length > 0) throw new ConfigFault(faults);
  return Object.freeze(config);
}

function withSecretFiles(env: NodeJS.ProcessEnv, faults: string[]): Record<string, string> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(variables)) if (env[name]) given[name] = env[name];
  for (const name of secrets) {
    const path = env[`${name}_FILE`];
    if (!path) continue;
    if (given[name]) faults.push(`${name} and ${name}_FILE are both set`);
    try {
      given[name] = readFileSync(path, 'utf8').trim();
    } catch (error) {
      faults.push(`${name}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
    if (given[name] === '') faults.push(`${name}_FILE is empty`);
  }
  return given;
}

function fileIn<Key extends string>(
  values: Variables,
  name: 'REDIS_CA_FILE' | 'REDIS_CERT_FILE' | 'REDIS_KEY_FILE',
  key: Key,
  faults: string[],
): Partial<Record<Key, string>> {
  const path = values[name];
  if (path === undefined) return {};
  try {
    return { [key]: readFileSync(path, 'utf8') } as Record<Key, string>;
  } catch (error) {
    faults.push(`${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return {};
  }
}

/** Whatever is wrong is left at its default, so that one run finds every fault. */
function parse(given: Record<string, string>, faults: string[]): Variables {
  const ajv = new Ajv({ allErrors: true, coerceTypes: true, useDefaults: true, strict: false });
  const check = ajv.compile<Variables>(schema);
  const values: Record<string, unknown> = { ...given };
  if (check(values)) return values as Variables;
  for (const { instancePath, message, params } of check.errors ?? []) {
    const name = instancePath.slice(1);
    const allowed = params['allowedValues'] ? `: ${params['allowedValues'].join(', ')}` : '';
    faults.push(`${name} ${message}${allowed}`);
    delete values[name];
  }
  check(values);
  return values as Variables;
}

function contradictions(config: Config): string[] {
  const { TIERS, REDIS_URL, JWT_SECRET, JWT_PRIVATE_KEY, JWKS_URL, JWT_ISSUER, JWT_AUDIENCE } = config;
  const http = TIERS.has('http');
  const idp = [JWKS_URL, JWT_ISSUER, JWT_AUDIENCE];
  const checks: [fault: boolean, text: string][] = [
    [
      http && !!REDIS_URL && !JWT_SECRET && !JWT_PRIVATE_KEY,
      'JWT_SECRET is required with REDIS_URL: several nodes must sign alike (or JWT_PRIVATE_KEY)',
    ],
    [
      http && !!REDIS_URL && !config.USERS_FILE && !JWKS_URL,
      'USERS_FILE or JWKS_URL is required with REDIS_URL',
    ],
    [!!JWT_SECRET && !!JWT_PRIVATE_KEY, 'JWT_SECRET and JWT_PRIVATE_KEY are both set: keep one'],
    [JWT_SECRET?.length === 0, 'JWT_SECRET holds no secret'],
    [!!JWT_SECRET && JWT_SECRET.length > 2, 'JWT_SECRET holds more than two secrets'],
    [
      !!JWT_SECRET?.some((secret) => Buffer.byteLength(secret) < 32),
      'JWT_SECRET must be 32 bytes or more, each',
    ],
    [idp.some(Boolean) && !idp.every(Boolean), 'JWKS_URL, JWT_ISSUER and JWT_AUDIENCE must be set together'],
    [JWT_ISSUER === 'ticket-broker', 'JWT_ISSUER must not be ticket-broker, which is our own'],
    [config.TICKET_TTL > config.TICKET_TTL_MAX, 'TICKET_TTL must not be more than TICKET_TTL_MAX'],
    [new Set(config.WS_PATH).size < config.WS_PATH.length, 'WS_PATH names a path twice'],
    [!isUrl(JWKS_URL, 'https:', 'http:'), 'JWKS_URL must be an http or https URL'],
    [
      !config.REDIS_CERT_FILE !== !config.REDIS_KEY_FILE,
      'REDIS_CERT_FILE and REDIS_KEY_FILE must be set together',
    ],
    [!isUrl(config.PUBLIC_WS_URL, 'ws:', 'wss:'), 'PUBLIC_WS_URL must be a ws:// or wss:// URL'],
    [!!config.PUBLIC_WS_URL?.includes('#'), 'PUBLIC_WS_URL must not have a #: a WebSocket has no fragment'],
    [config.WS_PATH.some(isTaken), 'WS_PATH names a path that something else is served at'],
    [config.trustedProxies.some((cidr) => cidr.endsWith('/0')), 'TRUST_PROXY must not be everybody'],
    [!config.trustedProxies.every(isCidr), 'TRUST_PROXY must be addresses or CIDRs, comma-separated'],
    [
      config.allowedOrigins instanceof Set &&
        (config.allowedOrigins.size === 0 || ![...config.allowedOrigins].every(isOrigin)),
      'ALLOWED_ORIGINS must be origins such as https://app.example.com, comma-separated, or *',
    ],
    [
      !!config.AUTH_COOKIE && config.allowedOrigins === '*',
      'AUTH_COOKIE needs ALLOWED_ORIGINS to name its origins: with *, every page could ask for tickets of its visitors',
    ],
    [
      !http &&
        (config.WS_ACCEPT.has('bearer') || config.WS_ACCEPT.has('token')) &&
        !JWT_SECRET &&
        !JWT_PRIVATE_KEY &&
        !JWKS_URL,
      'WS_ACCEPT takes tokens, which JWT_SECRET, JWT_PRIVATE_KEY or JWKS_URL must be there to verify',
    ],
    [!TIERS.has('http') && !REDIS_URL, 'REDIS_URL is required where TIERS leaves http out'],
    [!TIERS.has('ws') && !REDIS_URL, 'REDIS_URL is required where TIERS leaves ws out'],
  ];
  const redisFault = REDIS_URL && faultOf(() => parseRedisUrl(REDIS_URL));
  const keyFault = JWT_PRIVATE_KEY && faultOf(() => privateKeys(JWT_PRIVATE_KEY));
  return [
    ...checks.filter(([fault]) => fault).map(([, text]) => text),
    ...(redisFault ? [`REDIS_URL ${redisFault}`] : []),
    ...(keyFault ? [`JWT_PRIVATE_KEY ${keyFault}`] : []),
  ];
}

function origins(value: string | undefined): Config['allowedOrigins'] {
  if (value === undefined || value === '*') return value as '*' | undefined;
  return new Set(list(value));
}

function list(value: string | undefined): string[] {
  return (
    value
      ?.split(',')
      .map((item) => item.trim())
      .filter(Boolean) ?? []
  );
}

function isUrl(value: string | undefined, ...protocols: string[]): boolean {
  return value === undefined || (URL.canParse(value) && protocols.includes(new URL(value).protocol));
}

function isTaken(path: string): boolean {
  const [, first = ''] = path.split('/');
  return [
    '',
    '.well-known',
    'api',
    'demo',
    'docs',
    'healthz',
    'metrics',
    'openapi.yaml',
    'readyz',
    'revocations',
    'sessions',
    'test-token',
    'tickets',
    'token',
    'verify',
  ].includes(first);
}

function isOrigin(value: string): boolean {
  return URL.canParse(value) && new URL(value).origin === value;
}

function isCidr(value: string): boolean {
  return ipaddr.isValid(value) || ipaddr.isValidCIDR(value);
}

function faultOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Milliseconds that a revocation can matter: as long as anything that was issued before it can still be valid. An identity
 * provider's tokens are taken to last a day at most.
 */
export function retentionOf(config: Config): number {
  const { SESSION_TTL, ACCESS_TOKEN_TTL, REFRESH_TOKEN_TTL, TICKET_TTL_MAX, JWKS_URL } = config;
  return (
    Math.max(SESSION_TTL, ACCESS_TOKEN_TTL, REFRESH_TOKEN_TTL, JWKS_URL ? 86_400 : 0) * 1000 +
    TICKET_TTL_MAX * 1000
  );
}
