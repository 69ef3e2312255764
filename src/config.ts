import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import ipaddr from 'ipaddr.js';
import { type Static, type TSchema, Type } from 'typebox';
import { privateKeys } from './credentials/signing-keys.ts';

const seconds = (fallback: number | undefined, minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, description, ...(fallback !== undefined && { default: fallback }) });
const text = (description: string) => Type.String({ description });
const choice = <const T extends string[]>(values: [...T], fallback: T[number], description: string) =>
  Type.Enum(values, { default: fallback, description });

const day = 86_400;

/**
 * Every variable that is read, once. `readConfig` checks the environment against it; `--help` and `.env.example` are
 * printed from it.
 */
export const variables = {
  HOST: Type.String({ default: '127.0.0.1', description: 'address to listen on' }),
  PORT: Type.Integer({
    default: 8080,
    minimum: 0,
    maximum: 65_535,
    description: 'port to listen on; 0 = any free one',
  }),
  TIERS: Type.String({
    default: 'http,ws',
    pattern: '^(http|ws)(,(http|ws))?$',
    description: 'what this process does: http, ws or both',
  }),
  WS_PATH: Type.String({
    default: '/ws',
    pattern: '^/[\\w./~-]*(,/[\\w./~-]*)*$',
    description: 'path of the WebSocket, or several, comma-separated',
  }),
  PUBLIC_WS_URL: Type.Optional(
    text('the WebSocket as clients reach it, wss://…; default: as the request came in'),
  ),
  LOG_LEVEL: choice(
    ['debug', 'info', 'warn', 'error', 'silent'],
    'info',
    'least severe level that is logged',
  ),
  REDIS_URL: Type.Optional(
    text('redis://[user:password@]host[:port][/db], or rediss://; unset: this process only'),
  ),
  KEY_PREFIX: Type.String({
    default: 'wst:',
    pattern: '^[^{}\\s]{0,64}$',
    description: 'begins every key in Redis',
  }),
  REDIS_COMMAND_TIMEOUT: Type.Integer({
    default: 1000,
    minimum: 10,
    maximum: 60_000,
    description: 'milliseconds after which a Redis command counts as lost',
  }),
  TICKET_TTL: seconds(30, 1, day, 'seconds a ticket lives'),
  TICKET_TTL_MAX: seconds(300, 1, day, 'the longest life a mint may ask for, in seconds'),
  SESSION_TTL: seconds(28_800, 1, 20 * day, 'the longest session, in seconds'),
  ACCESS_TOKEN_TTL: seconds(3600, 1, 365 * day, 'seconds a token of ours is valid'),
  DRAIN_TIMEOUT: seconds(25, 0, 3600, 'seconds that a stopping process gives its connections'),
  JWT_SECRET: Type.Optional(text('signs our tokens, 32 bytes or more; "new,old" while it is being rotated')),
  JWT_PRIVATE_KEY: Type.Optional(
    text('instead: P-256 or Ed25519 keys in PEM, the first signs; published as JWKS'),
  ),
  JWKS_URL: Type.Optional(text("an identity provider's keys, https://…")),
  JWT_ISSUER: Type.Optional(text("the identity provider's `iss`")),
  JWT_AUDIENCE: Type.Optional(text('what its tokens must name in `aud`')),
  USERS_FILE: Type.Optional(text('htpasswd lines, username:hash (argon2id or bcrypt)')),
  SERVICE_KEYS_FILE: Type.Optional(text('lines of name:sha256-of-the-key:scope,…')),
  ATTEMPT_LIMIT: seconds(10, 0, 1_000_000, 'redemption attempts per address and window; 0 = off'),
  ATTEMPT_WINDOW: seconds(60, 1, day, 'the window of every limit, in seconds'),
  ATTEMPT_COUNT: choice(['failed', 'all'], 'failed', 'which attempts count'),
  LOGIN_LIMIT: seconds(10, 0, 1_000_000, 'logins per address, and per user name, a window; 0 = off'),
  MINT_LIMIT: seconds(600, 0, 1_000_000, 'tickets per address, and per subject, a window; 0 = off'),
  TRUST_PROXY: Type.Optional(text('CIDRs whose X-Forwarded-* headers are believed, comma-separated')),
  ALLOWED_ORIGINS: Type.Optional(text('browser origins, comma-separated, or *; unset: the same host')),
  MAX_CONNECTIONS: seconds(0, 0, 10_000_000, 'sockets this process holds at most; 0 = no limit'),
  HANDSHAKE_TIMEOUT: seconds(5, 1, 300, 'seconds a client has to send its request'),
  WS_REJECT: choice(['http', 'close'], 'http', 'refuse with an HTTP status, or open and close with a code'),
  WS_AUDIENCE: Type.Optional(text('the service this gate stands before: tickets for another are refused')),
  BIND_IP: choice(['off', 'log', 'prefix', 'exact'], 'off', 'how a ticket bound to an address is compared'),
} satisfies Record<string, TSchema>;

export type VariableName = keyof typeof variables;

/** May also be read from the file that `NAME_FILE` names. */
export const secrets = ['JWT_SECRET', 'JWT_PRIVATE_KEY', 'REDIS_URL'] as const satisfies VariableName[];

const schema = Type.Object(variables);
type Variables = Static<typeof schema>;

export interface Config extends Readonly<Omit<Variables, 'TIERS' | 'WS_PATH' | 'JWT_SECRET'>> {
  readonly TIERS: ReadonlySet<'http' | 'ws'>;
  readonly WS_PATH: readonly string[];
  readonly JWT_SECRET: readonly string[] | undefined;
  /** CIDRs, parsed; empty: no forwarded header is believed. */
  readonly trustedProxies: readonly string[];
  /** `'*'`: every origin; undefined: the same host only. */
  readonly allowedOrigins: ReadonlySet<string> | '*' | undefined;
  /** One process on its embedded store, with nobody configured who could log in: it makes a demo user. */
  readonly demo: boolean;
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
  const config = {
    ...values,
    TIERS: new Set(list(values.TIERS)) as Config['TIERS'],
    WS_PATH: list(values.WS_PATH),
    JWT_SECRET: values.JWT_SECRET === undefined ? undefined : list(values.JWT_SECRET),
    trustedProxies: list(values.TRUST_PROXY),
    allowedOrigins: origins(values.ALLOWED_ORIGINS),
    demo: !values.REDIS_URL && !values.USERS_FILE && !values.JWKS_URL,
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
    [!isUrl(REDIS_URL, 'redis:', 'rediss:'), 'REDIS_URL must be a redis:// or rediss:// URL'],
    [!isUrl(config.PUBLIC_WS_URL, 'ws:', 'wss:'), 'PUBLIC_WS_URL must be a ws:// or wss:// URL'],
    [!config.trustedProxies.every(isCidr), 'TRUST_PROXY must be addresses or CIDRs, comma-separated'],
    [
      config.allowedOrigins instanceof Set && ![...config.allowedOrigins].every(isOrigin),
      'ALLOWED_ORIGINS must be origins such as https://app.example.com, comma-separated, or *',
    ],
    [!TIERS.has('http') && !REDIS_URL, 'REDIS_URL is required where TIERS leaves http out'],
    [!TIERS.has('ws') && !REDIS_URL, 'REDIS_URL is required where TIERS leaves ws out'],
  ];
  const keyFault = JWT_PRIVATE_KEY && faultOf(() => privateKeys(JWT_PRIVATE_KEY));
  return [
    ...checks.filter(([fault]) => fault).map(([, text]) => text),
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
