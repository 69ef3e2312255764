import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, importJWK, type JWK } from 'jose';

interface Key {
  alg: 'HS256' | 'ES256' | 'EdDSA';
  /** RFC 7638 thumbprint; public keys only: a secret has no name that would not help to guess it. */
  kid?: string;
  verify: CryptoKey;
}

/** What signs our tokens, and what verifies them: the first key signs, all of them verify. */
export interface SigningKeys {
  signing: Key & { sign: CryptoKey };
  verifying: Key[];
  /** RFC 7517; empty where tokens are signed with a shared secret. */
  jwks: { keys: JWK[] };
}

/** @param secrets at least one, of 32 bytes or more (RFC 7518 3.2) */
export async function keysFromSecrets(secrets: readonly string[]): Promise<SigningKeys> {
  const imported = await Promise.all(
    secrets.map((secret) =>
      crypto.subtle.importKey('raw', Buffer.from(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
        'sign',
        'verify',
      ]),
    ),
  );
  const keys = imported.map((key) => ({ alg: 'HS256' as const, sign: key, verify: key }));
  return { signing: first(keys), verifying: keys, jwks: { keys: [] } };
}

/** @param pem one or more P-256 or Ed25519 private keys in PEM, PKCS #8 or SEC1 */
export async function keysFromPem(pem: string): Promise<SigningKeys> {
  const keys = await Promise.all(privateKeys(pem).map(importPair));
  return {
    signing: first(keys),
    verifying: keys,
    jwks: { keys: keys.map(({ jwk }) => jwk) },
  };
}

/**
 * The private keys of a PEM text.
 *
 * @throws Error saying what is wrong, without quoting the key
 */
export function privateKeys(pem: string): KeyObject[] {
  // And nothing else: `openssl ecparam -genkey` prints the parameters of the curve before the key.
  const form = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^-]+-----END \1-----/g;
  const blocks = pem.replaceAll('\\n', '\n').match(form) ?? [];
  if (blocks.length === 0) throw new Error('is not a private key in PEM');
  return blocks.map((block) => {
    const key = parsed(block);
    algorithmOf(key);
    return key;
  });
}

/** What each private key of a PEM text alone knows, however it is spelt: others can be derived from it. */
export function secretsIn(pem: string): string[] {
  return privateKeys(pem).map((key) => key.export({ format: 'der', type: 'pkcs8' }).toString('base64'));
}

function parsed(block: string): KeyObject {
  try {
    return createPrivateKey(block);
  } catch {
    throw new Error('is not a readable, unencrypted private key in PEM');
  }
}

function algorithmOf(key: KeyObject): 'ES256' | 'EdDSA' {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256';
  throw new Error('is neither a P-256 nor an Ed25519 key');
}

async function importPair(privateKey: KeyObject) {
  const alg = algorithmOf(privateKey);
  const publicJwk = await exportJWK(createPublicKey(privateKey));
  const kid = await calculateJwkThumbprint(publicJwk);
  const jwk = { ...publicJwk, kid, alg, use: 'sig' };
  return {
    alg,
    kid,
    jwk,
    sign: (await importJWK(await exportJWK(privateKey), alg)) as CryptoKey,
    verify: (await importJWK(jwk, alg)) as CryptoKey,
  };
}

function first<T>(keys: readonly T[]): T {
  const [key] = keys;
  if (!key) throw new TypeError('no signing key');
  return key;
}
