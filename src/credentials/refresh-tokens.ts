import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { BrokerError } from '../errors.ts';
import type { RandomBytes } from '../random.ts';
import type { Login, RefreshFamilies } from './refresh-families.ts';

export interface RefreshTokensOptions {
  families: RefreshFamilies;
  randomBytes: RandomBytes;
  /** What tokens are derived from; the first one derives, all of them verify. */
  secrets: readonly string[];
  /** Seconds that a token can be used. */
  ttl: number;
  /**
   * Told when a spent token came back, before it is refused: all that its login led to has to end. Where that fails, so does
   * the call, and the next token of the family asks for it again.
   */
  onReuse: (login: Login) => Promise<void>;
}

export interface RefreshTokens {
  /** The first token of a login. */
  issue(login: Login): Promise<string>;
  /**
   * Spends a token for its successor (RFC 9700 4.14.2).
   *
   * @throws BrokerError `invalid_grant`, `store_unavailable`
   */
  rotate(token: string): Promise<{ login: Login; successor: string }>;
}

const form = /^wsr_(?<family>[\w-]{22})\.(?<generation>[1-9]\d{0,8})\.(?<proof>[\w-]{43})$/;

/**
 * Single-use refresh tokens: `wsr_<family>.<generation>.<proof>`, where the proof is an HMAC of the rest. A token is known to
 * be ours without anything of it being kept, one that was never issued tells nobody anything, and the successor of a token is
 * the same however often it is asked for.
 */
export function refreshTokens({
  families,
  randomBytes,
  secrets,
  ttl,
  onReuse,
}: RefreshTokensOptions): RefreshTokens {
  const keys = secrets.map((secret) =>
    Buffer.from(hkdfSync('sha256', secret, '', 'ticket-broker refresh', 32)),
  );
  const proofBy = (key: Buffer, family: string, generation: number) =>
    createHmac('sha256', key).update(`${family}.${generation}`).digest();
  const tokenOf = (family: string, generation: number) => {
    const [key] = keys;
    if (!key) throw new TypeError('no secret to derive refresh tokens from');
    return `wsr_${family}.${generation}.${proofBy(key, family, generation).toString('base64url')}`;
  };

  const endings = new Map<string, Promise<void>>();
  /** Once for all who come meanwhile. */
  const endLogin = (family: string, login: Login): Promise<void> => {
    const ending =
      endings.get(family) ??
      onReuse(login)
        .then(() => families.end(family))
        .finally(() => endings.delete(family));
    endings.set(family, ending);
    return ending;
  };

  return {
    async issue(login) {
      const family = randomBytes(16).toString('base64url');
      await families.begin(family, login, ttl * 1000);
      return tokenOf(family, 1);
    },

    async rotate(token) {
      const { family = '', generation: text, proof = '' } = form.exec(token)?.groups ?? {};
      const generation = Number(text);
      const presented = Buffer.from(proof, 'base64url');
      const genuine = keys.some((key) => {
        const expected = proofBy(key, family, generation);
        return presented.length === expected.length && timingSafeEqual(presented, expected);
      });
      if (!genuine) throw refused('unknown_refresh_token');

      const rotation = await families.rotate(family, generation, ttl * 1000);
      if (rotation.outcome === 'unknown') throw refused('unknown_refresh_family');
      if (rotation.outcome === 'reused') {
        await endLogin(family, rotation.login);
        throw refused('refresh_token_reused', rotation.login.sub);
      }
      return { login: rotation.login, successor: tokenOf(family, generation + 1) };
    },
  };
}

function refused(reason: string, sub?: string): BrokerError {
  const description = 'The refresh token is not valid any more: log in again.';
  return new BrokerError('invalid_grant', { description, reason, ...(sub && { facts: { sub } }) });
}
