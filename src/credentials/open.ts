import { type Config, ConfigFault } from '../config.ts';
import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Revoke } from '../revocations/revoke.ts';
import { type Assert, asserter } from './assertion.ts';
import { type Caller, type Verifier, verifierChain } from './caller.ts';
import { type CredentialsFile, fileFault } from './files.ts';
import { idpTokenVerifier } from './idp-tokens.ts';
import { issueToken, ownTokenVerifier } from './own-tokens.ts';
import { passwordCheck } from './passwords.ts';
import type { Login, RefreshFamilies } from './refresh-families.ts';
import { refreshTokens } from './refresh-tokens.ts';
import { parseServiceKeys, serviceKeyVerifier } from './service-keys.ts';
import { keysFromPem, keysFromSecrets, type SigningKeys, secretsIn } from './signing-keys.ts';
import { type TestToken, testTokens } from './test-token.ts';
import { parseUsers, type Users } from './users-file.ts';
import { cachedVerifier } from './verified-cache.ts';
import { watchFile } from './watched-file.ts';

export interface IssuedToken {
  sub: string;
  token: string;
  /** Seconds. */
  expires_in: number;
  /** Buys the next token, once. */
  refresh_token: string;
}

/** Everything that answers who is asking. */
export interface Credentials {
  /** @throws BrokerError `invalid_credentials`, `overloaded` */
  login(username: string, password: string): Promise<IssuedToken>;
  /** A new token for a refresh token. @throws BrokerError `invalid_grant`, `token_revoked`, `store_unavailable` */
  refresh(refreshToken: string): Promise<IssuedToken>;
  /** A token of the demo user for whoever asks; undefined where the demo is off. @throws BrokerError `not_found` */
  testToken: (() => Promise<TestToken>) | undefined;
  /** Who sent this `Authorization` header. @throws BrokerError `invalid_token`, `idp_unavailable` */
  authenticate(authorization: string | undefined): Promise<Caller>;
  jwks: SigningKeys['jwks'];
  /** Only with a key whose public half others may have. */
  assert: Assert | undefined;
  /** USERS_FILE as it is now, where there is one. */
  fileUsers: (() => Users) | undefined;
}

export interface OpenCredentialsOptions {
  config: Config;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomBytes: RandomBytes;
  fetch: typeof fetch;
  families: RefreshFamilies;
  feed: Pick<Feed, 'current' | 'find'>;
  revoke: Revoke;
  /** The users, where no USERS_FILE names them. */
  demoUsers?: Users;
  /** Told when a credentials file has changed and cannot be used. */
  onFault: (variable: CredentialsFile, error: unknown) => void;
}

/** Milliseconds; jose keeps the provider's keys for as long. */
const idpTokenMaxAge = 600_000;

/** @throws ConfigFault when a credentials file cannot be used, naming its variable; all of them at once */
export async function openCredentials(options: OpenCredentialsOptions): Promise<Credentials> {
  const { config, now, randomBytes, fetch, families, feed, revoke, demoUsers = new Map(), onFault } = options;
  const { ACCESS_TOKEN_TTL, JWKS_URL, JWT_ISSUER, JWT_AUDIENCE } = config;

  const faults: string[] = [];
  const watched = <T>(variable: CredentialsFile, parse: (text: string) => T): (() => T) | undefined => {
    const path = config[variable];
    if (path === undefined) return undefined;
    try {
      const file = watchFile(path, parse, (error) => onFault(variable, error));
      return () => file.current();
    } catch (error) {
      faults.push(fileFault(variable, error));
      return undefined;
    }
  };
  const fileUsers = watched('USERS_FILE', parseUsers);
  const serviceKeys = watched('SERVICE_KEYS_FILE', parseServiceKeys);
  if (faults.length > 0) throw new ConfigFault(faults);

  const users = fileUsers ?? (() => demoUsers);
  const secrets = signingSecrets(config, randomBytes);
  const keys = config.JWT_PRIVATE_KEY
    ? await keysFromPem(config.JWT_PRIVATE_KEY)
    : await keysFromSecrets(secrets);
  const checkPassword = passwordCheck({ users, randomBytes });
  const refreshing = refreshTokens({
    families,
    randomBytes,
    secrets,
    ttl: config.REFRESH_TOKEN_TTL,
    // The family's own moment: what the same person has logged in to since is not the thief's.
    async onReuse({ sub, auth_time }) {
      await revoke({ sub, issued_before: auth_time }, 'refresh token reused');
    },
  });

  const verifiers: Verifier[] = [cachedVerifier(ownTokenVerifier({ keys, now }), { now })];
  if (serviceKeys) verifiers.push(serviceKeyVerifier(serviceKeys));
  if (JWKS_URL && JWT_ISSUER && JWT_AUDIENCE) {
    const idp = { jwksUrl: JWKS_URL, issuer: JWT_ISSUER, audience: JWT_AUDIENCE, now, fetch };
    verifiers.push(cachedVerifier(idpTokenVerifier(idp), { now, maxAge: idpTokenMaxAge }));
  }

  const sign = async (login: Login): Promise<{ token: string; expires_in: number }> => {
    const exp = Math.floor(now() / 1000) + ACCESS_TOKEN_TTL;
    return { token: await issueToken({ keys, now }, { ...login, exp }), expires_in: ACCESS_TOKEN_TTL };
  };
  const issue = async (login: Login, refresh_token: string): Promise<IssuedToken> => {
    return { sub: login.sub, ...(await sign(login)), refresh_token };
  };

  return {
    async login(username, password) {
      const auth_time = now() / 1000;
      if (!(await checkPassword(username, password))) throw new BrokerError('invalid_credentials');
      const login = { sub: username, username, auth_time };
      return issue(login, await refreshing.issue(login));
    },
    async refresh(refreshToken) {
      if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
      const { login, successor } = await refreshing.rotate(refreshToken);
      if (feed.find(login)) throw new BrokerError('token_revoked', { facts: { sub: login.sub } });
      if (!users().has(login.sub)) {
        throw new BrokerError('invalid_grant', { reason: 'user_removed', facts: { sub: login.sub } });
      }
      return issue(login, successor);
    },
    testToken: config.demo ? testTokens({ now, alone: config.demoAlone, users, sign }) : undefined,
    authenticate: verifierChain(verifiers),
    jwks: keys.jwks,
    assert: config.JWT_PRIVATE_KEY ? asserter(keys, now) : undefined,
    fileUsers,
  };
}

/** Without a key of its own, a process signs with a random one, which nobody else knows and which ends with it. */
function signingSecrets(
  { JWT_PRIVATE_KEY, JWT_SECRET }: Config,
  randomBytes: RandomBytes,
): readonly string[] {
  if (JWT_PRIVATE_KEY) return secretsIn(JWT_PRIVATE_KEY);
  return JWT_SECRET ?? [randomBytes(32).toString('base64url')];
}
