import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, importJWK, type JWK, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { type BrokerProcess, sharedStore, startBroker } from '../support/broker-process.ts';
import {
  type IdentityProvider,
  signingKey,
  startIdentityProvider,
  subject,
} from '../support/e2e-identity-provider.ts';
import { ask, handshake } from '../support/e2e-raw-http.ts';

const audience = 'https://chat.example';

let keys: [first: JWK, second: JWK, third: JWK, unpublished: JWK];
let idp: IdentityProvider;
let other: IdentityProvider;
let broker: BrokerProcess;

beforeAll(async () => {
  keys = await Promise.all([
    signingKey('RS256'),
    signingKey('ES256'),
    signingKey('RS256'),
    signingKey('ES256'),
  ]);
  idp = await startIdentityProvider([keys[0]]);
  other = await startIdentityProvider([await signingKey('ES256')]);
  broker = await startWithIdp();
});
afterAll(async () => {
  await broker?.stop();
  await idp?.stop();
  await other?.stop();
});

const startWithIdp = () =>
  startBroker({
    ...sharedStore(inject('redisUrl')),
    ATTEMPT_LIMIT: '0',
    JWKS_URL: idp.jwksUrl,
    JWT_ISSUER: idp.issuer,
    JWT_AUDIENCE: audience,
  });

const mint = async (token: string, by = broker) => {
  const response = await fetch(`${by.url}/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  const body = (await response.json()) as { ticket?: string; error?: string };
  return { status: response.status, retryAfter: response.headers.get('retry-after'), ...body };
};

/** Mints with a token and opens a socket with what comes of it. */
const opens = async (token: string) => {
  const { status, ticket } = await mint(token);
  if (status !== 201) return status;
  return (await ask(broker.port, handshake({ target: `/ws?ticket=${ticket}` }))).status;
};

/** A token that the provider could have issued, signed by us. */
const signed = async (key: JWK, claims: Record<string, unknown> = {}) => {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ iss: idp.issuer, sub: subject, aud: audience, iat: now, exp: now + 600, ...claims })
    .setProtectedHeader({ alg: key.alg ?? '', kid: key.kid ?? '', typ: 'at+jwt' })
    .sign(await importJWK(key));
};

const refused = { status: 401, error: 'invalid_token' };

describe("an identity provider's token", () => {
  test('mints a ticket that opens a socket, in the name of its subject', async () => {
    const token = await idp.token(audience);
    expect(decodeJwt(token)).toMatchObject({ sub: subject, iss: idp.issuer, aud: audience });
    const { ticket } = await mint(token);
    const target = `/ws?ticket=${ticket}`;
    expect(await ask(broker.port, handshake({ target }))).toMatchObject({ status: 101 });
    expect(await ask(broker.port, handshake({ target }))).toMatchObject({ status: 401 });
    await expect
      .poll(() => broker.decisions().findLast(({ decision }) => decision === 'mint'))
      .toMatchObject({ sub: subject });
  });

  test('is as good again, and after it so is the next', async () => {
    expect(await opens(await idp.token(audience))).toBe(101);
    expect(await opens(await idp.token(audience))).toBe(101);
  });

  test('is refused when it is for another service', async () => {
    expect(await mint(await idp.token('https://mail.example'))).toMatchObject(refused);
  });

  test("is refused when it is another provider's", async () => {
    expect(await mint(await other.token(audience))).toMatchObject(refused);
  });

  test.each<[fault: string, claims: Record<string, unknown>]>([
    ['has expired', { exp: Math.floor(Date.now() / 1000) - 60 }],
    ['has no end', { exp: undefined }],
    ['has no subject', { sub: undefined }],
    ['does not say when it was issued', { iat: undefined }],
    ['is not valid yet', { nbf: Math.floor(Date.now() / 1000) + 600 }],
  ])('is refused when it %s', async (_fault, claims) => {
    expect(await mint(await signed(keys[0], claims))).toMatchObject(refused);
  });
});

describe('a forgery', () => {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  let claims: object;
  let kid: string | undefined;
  beforeAll(async () => {
    const genuine = await idp.token(audience);
    claims = decodeJwt(genuine);
    kid = decodeProtectedHeader(genuine).kid;
    // What is forged below is refused for the forgery alone.
    expect(await mint(await signed(keys[0]))).toMatchObject({ status: 201 });
  });

  test.each(['none', 'None', 'NONE', ''])('that is not signed is refused: alg %j', async (alg) => {
    const token = `${encode({ alg, kid, typ: 'at+jwt' })}.${encode(claims)}.`;
    expect(await mint(token)).toMatchObject(refused);
  });

  test.each(['spki PEM', 'spki PEM, trimmed', 'spki DER', 'JWK'] as const)(
    'signed with the public key as an HMAC secret is refused: %s',
    async (form) => {
      const { d, p, q, dp, dq, qi, ...publicJwk } = keys[0];
      const key = createPublicKey({ key: publicJwk as JsonWebKey, format: 'jwk' });
      const pem = key.export({ type: 'spki', format: 'pem' }) as string;
      const secret = {
        'spki PEM': pem,
        'spki PEM, trimmed': pem.trim(),
        'spki DER': key.export({ type: 'spki', format: 'der' }),
        JWK: JSON.stringify(publicJwk),
      }[form];
      const head = `${encode({ alg: 'HS256', kid, typ: 'at+jwt' })}.${encode(claims)}`;
      const token = `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
      expect(await mint(token)).toMatchObject(refused);
    },
  );

  test("under a genuine key's name is refused", async () => {
    expect(await mint(await signed({ ...(await signingKey('RS256')), kid: kid ?? '' }))).toMatchObject(
      refused,
    );
  });

  test('by a key that the token itself brings is refused', async () => {
    const mine = await signingKey('ES256');
    const { d, ...publicJwk } = mine;
    const token = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: kid ?? '', jwk: publicJwk as JWK })
      .sign(await importJWK(mine));
    expect(await mint(token)).toMatchObject(refused);
  });

  test('by a key that nobody has published is refused', async () => {
    expect(await mint(await signed(keys[3]))).toMatchObject(refused);
  });

  test('of our own token by way of the provider is refused', async () => {
    const token = await signed(keys[0], { iss: 'ticket-broker', username: 'alice', auth_time: 1 });
    expect(await mint(token)).toMatchObject(refused);
  });
});

describe('when the provider rotates its keys', () => {
  test('a new token is good at once, moments after the old keys were fetched', async () => {
    await using fresh = await startWithIdp();
    expect(await mint(await idp.token(audience), fresh)).toMatchObject({ status: 201 });
    await idp.restart([keys[1], keys[0]]);
    expect(await mint(await idp.token(audience), fresh)).toMatchObject({ status: 201 });
  });

  test('tokens of both keys are good while both are published', async () => {
    expect(await mint(await signed(keys[0]))).toMatchObject({ status: 201 });
    expect(await opens(await signed(keys[1]))).toBe(101);
  });

  test('a new token is good though the old keys are gone', async () => {
    await idp.restart([keys[2]]);
    expect(await opens(await idp.token(audience))).toBe(101);
  });
});

describe('while the provider is down', () => {
  let known: string;
  beforeEach(async () => {
    await idp.restart([keys[2]]);
    known = await idp.token(audience);
    expect(await opens(known)).toBe(101);
    await idp.stop();
  });

  test('tokens of the keys that are known stay good', async () => {
    expect(await opens(known)).toBe(101);
    expect(await opens(await signed(keys[2]))).toBe(101);
  });

  test('a token of an unknown key is neither good nor bad: 503', async () => {
    const answer = await mint(await signed(keys[3]));
    expect(answer).toMatchObject({ status: 503, error: 'idp_unavailable' });
    expect(Number(answer.retryAfter)).toBeGreaterThan(0);
  });

  test('a broker that has just started answers 503, and heals by itself', async () => {
    await using fresh = await startWithIdp();
    expect(await mint(known, fresh)).toMatchObject({ status: 503, error: 'idp_unavailable' });
    await idp.restart([keys[2]]);
    await expect.poll(async () => (await mint(known, fresh)).status, { timeout: 20_000 }).toBe(201);
  });
});
