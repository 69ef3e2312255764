import { type TSchema, Type } from 'typebox';

const seconds = (fallback: number | undefined, minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, description, ...(fallback !== undefined && { default: fallback }) });
const text = (description: string) => Type.String({ description });
/** @param must what is said of a value that is of another form */
const formed = (pattern: string, must: string, description: string, fallback?: string) =>
  Type.String({ pattern, must, description, ...(fallback !== undefined && { default: fallback }) });
const header = (description: string) =>
  formed('^[A-Za-z0-9-]{1,64}$', 'must be the name of a header', description);
const choice = <const T extends string[]>(values: [...T], fallback: T[number], description: string) =>
  Type.Enum(values, { default: fallback, description: `${description}; one of ${values.join(', ')}` });
/** Some of the values, comma-separated, in any order. */
const some = (values: readonly string[], atMost: number, fallback: string, description: string) => {
  const one = `\\s*(${values.join('|')})\\s*`;
  const must = `must be one or more of ${values.join(', ')}, comma-separated`;
  return formed(`^${one}(,${one}){0,${atMost - 1}}$`, must, description, fallback);
};

const day = 86_400;

/**
 * Every variable of the broker, once. `readConfig` checks the environment against it; `--help` and `.env.example` are
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
  TIERS: some(['http', 'ws'], 2, 'http,ws', 'what this process does: http, ws or both'),
  WS_PATH: formed(
    '^\\s*/[\\w./~-]*\\s*(,\\s*/[\\w./~-]*\\s*)*$',
    'must be a path such as /ws, or several, comma-separated',
    'path of the WebSocket, or several, comma-separated',
    '/ws',
  ),
  PUBLIC_WS_URL: Type.Optional(
    text('the WebSocket as clients reach it, wss://…; default: as the request came in'),
  ),
  DEMO: Type.Optional(
    Type.Enum(['on', 'off'], {
      description:
        "the demo page at /, and GET /test-token, which lets anyone in as the user demo: on beside other users, into the room demo only (that name must be nobody else's); off: not at all; unset: on where nothing tells who may come in",
    }),
  ),
  LOG_LEVEL: choice(
    ['debug', 'info', 'warn', 'error', 'silent'],
    'info',
    'least severe level that is logged',
  ),
  AUDIT_LOG: Type.Optional(
    text(
      'where each security decision is kept as a line of JSON: a file, which SIGHUP opens anew, or stdout or stderr; unset: nowhere',
    ),
  ),
  REDIS_URL: Type.Optional(
    text(
      'redis://[user:password@]host[:port][/db], redis+sentinel://h1,h2/name[/db] or redis+cluster://h1,h2, rediss for TLS; unset: this process only',
    ),
  ),
  REDIS_CA_FILE: Type.Optional(text('PEM of the authority that signed the certificate of Redis')),
  REDIS_CERT_FILE: Type.Optional(text('PEM of our certificate, where Redis asks for one')),
  REDIS_KEY_FILE: Type.Optional(text('PEM of its key')),
  KEY_PREFIX: formed(
    '^[^{}\\s]{0,64}$',
    'must have neither braces nor blanks, and 64 characters at most',
    'begins every key in Redis',
    'wst:',
  ),
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
  REFRESH_TOKEN_TTL: seconds(1_209_600, 1, 365 * day, 'seconds a refresh token can be used'),
  METRICS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description:
        'port of /metrics, on HOST, for everybody who reaches it; unset: /metrics on PORT, for service keys of scope sessions:read',
    }),
  ),
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
  LOGIN_LIMIT: seconds(
    10,
    0,
    1_000_000,
    'logins per address, and per user name, and sessions that a user may end one by one, a window; 0 = off',
  ),
  MINT_LIMIT: seconds(
    600,
    0,
    1_000_000,
    'tickets per address and per subject, and refreshes per address, a window; 0 = off',
  ),
  TRUST_PROXY: Type.Optional(text('CIDRs whose X-Forwarded-* headers are believed, comma-separated')),
  ALLOWED_ORIGINS: Type.Optional(text('browser origins, comma-separated, or *; unset: the same host')),
  AUTH_COOKIE: Type.Optional(
    formed(
      // RFC 6265 4.1.1
      "^[\\w!#$%&'*+.^`|~-]{1,128}$",
      'must be the name of a cookie',
      'a cookie whose token POST /tickets takes, from pages of ALLOWED_ORIGINS; unset: none',
    ),
  ),
  MAX_SESSIONS_PER_SUB: seconds(
    0,
    0,
    1_000_000,
    'live sessions a subject may have, over all nodes: the oldest is closed; 0 = no limit',
  ),
  CHAT: choice(
    ['on', 'off'],
    'on',
    'the chat behind the gate; off: sockets are only welcomed, refreshed and ended',
  ),
  CHAT_HISTORY: seconds(50, 0, 1000, 'messages of a room that are kept for who joins it'),
  MESSAGE_LIMIT: seconds(
    20,
    0,
    1_000_000,
    'messages a socket may send in a second, and twice that at once; 0 = no limit',
  ),
  MAX_CONNECTIONS: seconds(0, 0, 10_000_000, 'sockets this process holds at most; 0 = no limit'),
  HANDSHAKE_TIMEOUT: seconds(5, 1, 300, 'seconds a client has to send its request'),
  WS_ACCEPT: some(
    ['ticket', 'bearer', 'token', 'message'],
    4,
    'ticket',
    'what a handshake may show, comma-separated: ticket, bearer (a token in Authorization), token (in ?token=), message (a ticket in the first message)',
  ),
  WS_REJECT: choice(['http', 'close'], 'http', 'refuse with an HTTP status, or open and close with a code'),
  WS_AUDIENCE: Type.Optional(text('the service this gate stands before: tickets for another are refused')),
  ON_REPLAY: choice(
    ['log', 'close'],
    'log',
    'when a used ticket comes back: only log it, or end the session it opened',
  ),
  BIND_IP: choice(['off', 'log', 'prefix', 'exact'], 'off', 'how a ticket bound to an address is compared'),
  VERIFY_URI_HEADER: Type.Optional(
    header(
      'the header in which the proxy tells /verify the original URI, which it must set itself: X-Original-URI, X-Forwarded-Uri; unset: what comes after /verify',
    ),
  ),
  VERIFY_HEADERS: choice(
    ['x-auth-request', 'remote', 'x-forwarded'],
    'x-auth-request',
    'identity headers of /verify: X-Auth-Request-User, Remote-User or X-Forwarded-User, and so on',
  ),
  VERIFY_REQUEST_ID_HEADER: Type.Optional(
    header(
      'a header that only the proxy sets: /verify answers alike when asked with the same value again within 5 s',
    ),
  ),
} satisfies Record<string, TSchema>;

export type VariableName = keyof typeof variables;

/** May also be read from the file that `NAME_FILE` names. */
export const secrets = ['JWT_SECRET', 'JWT_PRIVATE_KEY', 'REDIS_URL'] as const satisfies VariableName[];
