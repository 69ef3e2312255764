import { exportJWK, generateKeyPair, generateSecret, type JWK, SignJWT } from 'jose';

export type Algorithm = 'HS256' | 'RS256' | 'ES256';

export interface SignedTokens {
  /** The key that verifies them. */
  jwk: JWK;
  tokens: string[];
}

/** Tokens as an identity provider would have signed them, one for each subject. */
export async function signedTokens(alg: Algorithm, subjects: readonly string[]): Promise<SignedTokens> {
  const { sign, verify } = await keysFor(alg);
  const tokens = subjects.map((sub) =>
    new SignJWT({ name: sub, scope: 'chat' })
      .setProtectedHeader({ alg, typ: 'at+jwt' })
      .setIssuer('bench')
      .setSubject(sub)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(sign),
  );
  return { jwk: { ...(await exportJWK(verify)), alg }, tokens: await Promise.all(tokens) };
}

async function keysFor(alg: Algorithm) {
  if (alg === 'HS256') {
    const secret = await generateSecret(alg, { extractable: true });
    return { sign: secret, verify: secret };
  }
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { sign: privateKey, verify: publicKey };
}
