import { issueToken } from '../../src/credentials/own-tokens.ts';
import { keysFromSecrets } from '../../src/credentials/signing-keys.ts';
import { jwtSecret } from '../process/product.ts';

let signed = 0;

/** Tokens as the product issues them at login, none of which has been there before. */
export async function userTokens(count: number): Promise<string[]> {
  const keys = await keysFromSecrets([jwtSecret]);
  const now = Date.now();
  const users = Array.from({ length: count }, () => {
    const sub = `user-${signed++}@example.com`;
    return { sub, username: sub, auth_time: now / 1000, exp: now / 1000 + 3600 };
  });
  return Promise.all(users.map((user) => issueToken({ keys, now: () => now }, user)));
}
