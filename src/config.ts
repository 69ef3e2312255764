import { readFileSync } from 'node:fs';
import { auditFaults } from './audit/file.ts';
import { contradictions } from './config/contradictions.ts';
import { misspelt } from './config/misspelt.ts';
import { parse, type Variables, withSecretFiles } from './config/values.ts';
import { credentialsFileFaults } from './credentials/files.ts';
import type { Transport } from './ws/gate.ts';

export interface Config extends Readonly<Omit<Variables, 'TIERS' | 'WS_PATH' | 'WS_ACCEPT' | 'JWT_SECRET'>> {
  /** What the REDIS_*_FILE variables name, read. */
  readonly redisTls: Readonly<Partial<Record<'ca' | 'cert' | 'key', string>>>;
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
  /** What is in the environment and is read by nobody, though its name is nearly one of ours: one sentence each. */
  readonly misspelt: readonly string[];
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
 * The only reader of the broker's environment.
 *
 * @throws ConfigFault with every fault at once
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const faults: string[] = [];
  const unread = new Set<string>();
  const values = parse(withSecretFiles(env, unread, faults), faults);
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
    misspelt: misspelt(env).map(({ name, meant }) => `${name} is not read: is ${meant} meant?`),
  } satisfies Config;
  faults.push(...contradictions(config, (name) => values[name] !== undefined || unread.has(name)));
  faults.push(...auditFaults(values.AUDIT_LOG));
  // openCredentials would tell these too, but is not reached after a ConfigFault.
  if (faults.length > 0)
    throw new ConfigFault([...faults, ...credentialsFileFaults(values), ...config.misspelt]);
  return Object.freeze(config);
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
