/**
 * The beginning of a secret, which is all that is ever shown of it.
 *
 * @param {string} secret
 */
export function masked(secret) {
  return `${secret.slice(0, secret.startsWith('wst_') ? 8 : 3)}••••`;
}

/**
 * What a token says of itself. It is the broker that checks it; this is for reading.
 *
 * @param {string} token
 * @returns {{ sub: string, exp: number }}
 */
export function claimsOf(token) {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (byte) => byte.charCodeAt(0))));
}
