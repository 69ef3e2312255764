import { createPrivateKey, X509Certificate } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Config } from '../config.ts';
import { privateKeys } from '../credentials/signing-keys.ts';
import { isOrigin } from '../origin.ts';
import { parseRedisUrl } from '../store/redis-url.ts';
import type { secrets } from '../variables.ts';

/**
 * What is wrong with settings that are of the right form, one sentence each.
 *
 * @param isGiven whether somebody has said something for a secret, though it may not be known what
 */
export function contradictions(
  config: Config,
  isGiven: (name: (typeof secrets)[number]) => boolean,
): string[] {
  const { TIERS, REDIS_URL, JWT_SECRET, JWT_PRIVATE_KEY, JWKS_URL, JWT_ISSUER, JWT_AUDIENCE } = config;
  const http = TIERS.has('http');
  const idp = [JWKS_URL, JWT_ISSUER, JWT_AUDIENCE];
  const checks: [fault: boolean, text: string][] = [
    [
      http && isGiven('REDIS_URL') && !isGiven('JWT_SECRET') && !isGiven('JWT_PRIVATE_KEY'),
      'JWT_SECRET is required with REDIS_URL: several nodes must sign alike (or JWT_PRIVATE_KEY)',
    ],
    [
      http && isGiven('REDIS_URL') && !config.USERS_FILE && !JWKS_URL,
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
    [
      config.METRICS_PORT !== undefined && config.METRICS_PORT > 0 && config.METRICS_PORT === config.PORT,
      'METRICS_PORT must not be PORT',
    ],
    [new Set(config.WS_PATH).size < config.WS_PATH.length, 'WS_PATH names a path twice'],
    [!isUrl(JWKS_URL, 'https:', 'http:'), 'JWKS_URL must be an http or https URL'],
    [
      !config.REDIS_CERT_FILE !== !config.REDIS_KEY_FILE,
      'REDIS_CERT_FILE and REDIS_KEY_FILE must be set together',
    ],
    [!isUrl(config.PUBLIC_WS_URL, 'ws:', 'wss:'), 'PUBLIC_WS_URL must be a ws:// or wss:// URL'],
    [!!config.PUBLIC_WS_URL?.includes('#'), 'PUBLIC_WS_URL must not have a #: a WebSocket has no fragment'],
    [namesUser(config.PUBLIC_WS_URL), 'PUBLIC_WS_URL must name no user: it is handed out with every ticket'],
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
        !isGiven('JWT_SECRET') &&
        !isGiven('JWT_PRIVATE_KEY') &&
        !JWKS_URL,
      'WS_ACCEPT takes tokens, which JWT_SECRET, JWT_PRIVATE_KEY or JWKS_URL must be there to verify',
    ],
    [!TIERS.has('http') && !isGiven('REDIS_URL'), 'REDIS_URL is required where TIERS leaves http out'],
    [!TIERS.has('ws') && !isGiven('REDIS_URL'), 'REDIS_URL is required where TIERS leaves ws out'],
  ];
  const redisFault = REDIS_URL && faultOf(() => parseRedisUrl(REDIS_URL));
  const keyFault = JWT_PRIVATE_KEY && faultOf(() => privateKeys(JWT_PRIVATE_KEY));
  return [
    ...checks.filter(([fault]) => fault).map(([, text]) => text),
    ...(redisFault ? [`REDIS_URL ${redisFault}`] : []),
    ...(keyFault ? [`JWT_PRIVATE_KEY ${keyFault}`] : []),
    ...tlsFaults(config.redisTls),
  ];
}

function isUrl(value: string | undefined, ...protocols: string[]): boolean {
  return value === undefined || (URL.canParse(value) && protocols.includes(new URL(value).protocol));
}

function namesUser(value: string | undefined): boolean {
  const url = value === undefined ? null : URL.parse(value);
  return !!url && `${url.username}${url.password}` !== '';
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

function isCidr(value: string): boolean {
  return ipaddr.isValid(value) || ipaddr.isValidCIDR(value);
}

/** OpenSSL would say it when a connection fails, and name no variable, or never. */
function tlsFaults({ ca, cert, key }: Config['redisTls']): string[] {
  const holds = (pem: string | undefined, read: (pem: string) => unknown) =>
    pem === undefined || faultOf(() => read(pem)) === undefined;
  const isCertificate = (pem: string | undefined) => holds(pem, (text) => new X509Certificate(text));
  const faults = [
    ...(isCertificate(ca) ? [] : ['REDIS_CA_FILE holds no certificate in PEM']),
    ...(isCertificate(cert) ? [] : ['REDIS_CERT_FILE holds no certificate in PEM']),
    ...(holds(key, createPrivateKey)
      ? []
      : ['REDIS_KEY_FILE holds no private key in PEM, or one with a passphrase']),
  ];
  if (faults.length > 0 || cert === undefined || key === undefined) return faults;
  const fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  return fits ? [] : ['REDIS_KEY_FILE is not the key of REDIS_CERT_FILE'];
}

function faultOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
