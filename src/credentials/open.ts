import type { Config } from '../config.ts';
import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../tickets/ticket.ts';
import { type Caller, type Verifier, verifierChain } from './caller.ts';
import { idpTokenVerifier } from './idp-tokens.ts';
import { issueToken, ownTokenVerifier } from './own-tokens.ts';
import { passwordCheck } from './passwords.ts';
import { parseServiceKeys, serviceKeyVerifier } from './service-keys.ts';
import { keysFromPem, keysFromSecrets, type SigningKeys } from './signing-keys.ts';
import { parseUsers, type Users } from './users-file.ts';
import { cachedVerifier } from './verified-cache.ts';
import { watchFile } from './watched-file.ts';

export interface IssuedToken {
  sub: string;
  token: string;
  /** Seconds. */
  expires_in: number;
}

/** Everything that answers who is asking. */
export interface Credentials {
  /** @throws BrokerError `invalid_credentials`, `overloaded` */
  login(username: string, password: string): Promise<IssuedToken>;
  /** Who sent this `Authorization` header. @throws BrokerError `invalid_token`, `idp_unavailable` */
  authenticate(authorization: string | undefined): Promise<Caller>;
  jwks: SigningKeys['jwks'];
}

export interface OpenCredentialsOptions {
  config: Config;
  /** Milliseconds since the epoch. */
  now: () => number;
  randomBytes: RandomBytes;
  fetch: typeof fetch;
  /** The users, where no USERS_FILE names them. */
  demoUsers?: Users;
  /** Told when a credentials file has changed and cannot be used. */
  onFault: (variable: 'USERS_FILE' | 'SERVICE_KEYS_FILE', error: unknown) => void;
}

/** @throws FileFault, or the file system's error, when a credentials file cannot be used */
export async function openCredentials(options: OpenCredentialsOptions): Promise<Credentials> {
  const { config, now, randomBytes, fetch, demoUsers = new Map(), onFault } = options;
  const { USERS_FILE, SERVICE_KEYS_FILE, ACCESS_TOKEN_TTL, JWKS_URL, JWT_ISSUER, JWT_AUDIENCE } = config;

  const keys = await signingKeys(config, randomBytes);
  const users = USERS_FILE && watchFile(USERS_FILE, parseUsers, (error) => onFault('USERS_FILE', error));
  const checkPassword = passwordCheck({ users: () => (users ? users.current() : demoUsers), randomBytes });

  const verifiers: Verifier[] = [cachedVerifier(ownTokenVerifier({ keys, now }), now)];
  if (SERVICE_KEYS_FILE) {
    const file = watchFile(SERVICE_KEYS_FILE, parseServiceKeys, (error) =>
      onFault('SERVICE_KEYS_FILE', error),
    );
    verifiers.push(serviceKeyVerifier(() => file.current()));
  }
  if (JWKS_URL && JWT_ISSUER && JWT_AUDIENCE) {
    const idp = { jwksUrl: JWKS_URL, issuer: JWT_ISSUER, audience: JWT_AUDIENCE, now, fetch };
    verifiers.push(cachedVerifier(idpTokenVerifier(idp), now));
  }

  return {
    async login(username, password) {
      const presented = now() / 1000;
      if (!(await checkPassword(username, password))) throw new BrokerError('invalid_credentials');
      const exp = Math.floor(presented) + ACCESS_TOKEN_TTL;
      const token = await issueToken({ keys, now }, { sub: username, username, auth_time: presented, exp });
      return { sub: username, token, expires_in: ACCESS_TOKEN_TTL };
    },
    authenticate: verifierChain(verifiers),
    jwks: keys.jwks,
  };
}

/** Without a key of its own, a process signs with a random one, which nobody else knows and which ends with it. */
function signingKeys(
  { JWT_PRIVATE_KEY, JWT_SECRET }: Config,
  randomBytes: RandomBytes,
): Promise<SigningKeys> {
  if (JWT_PRIVATE_KEY) return keysFromPem(JWT_PRIVATE_KEY);
  return keysFromSecrets(JWT_SECRET ?? [randomBytes(32).toString('base64url')]);
}
