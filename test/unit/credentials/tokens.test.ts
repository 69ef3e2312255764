import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { decodeJwt, exportJWK, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { verifierChain } from '../../../src/credentials/caller.ts';
import { idpTokenVerifier } from '../../../src/credentials/idp-tokens.ts';
import { issueToken, ownTokenVerifier } from '../../../src/credentials/own-tokens.ts';
import { keysFromPem, keysFromSecrets } from '../../../src/credentials/signing-keys.ts';
import { cachedVerifier } from '../../../src/credentials/verified-cache.ts';
import { BrokerError } from '../../../src/errors.ts';

const now = () => 1_700_000_000_123;
const seconds = Math.floor(now() / 1000);
const secret = 's'.repeat(32);
const alice = { sub: 'alice', username: 'Alice', auth_time: 1_699_999_000.5, exp: seconds + 60 };

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pemOf = (key: typeof p256.privateKey) => key.export({ type: 'pkcs8', format: 'pem' }) as string;

const ecparam = (key: typeof p256.privateKey) =>
  `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${key.export({ type: 'sec1', format: 'pem' })}`;

async function ownToken(payload: object, header: object = {}, key = secret): Promise<string> {
  return new SignJWT({ ...payload })
    .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', ...header })
    .sign(new TextEncoder().encode(key));
}

const claims = {
  iss: 'ticket-broker',
  sub: 'alice',
  username: 'Alice',
  auth_time: alice.auth_time,
  iat: seconds,
  exp: alice.exp,
};

describe('our own tokens', () => {
  test.each([
    ['a secret', () => keysFromSecrets([secret])],
    ['a P-256 key', () => keysFromPem(pemOf(p256.privateKey))],
    ['what `openssl ecparam -name prime256v1 -genkey` prints', () => keysFromPem(ecparam(p256.privateKey))],
    ['an Ed25519 key', () => keysFromPem(pemOf(generateKeyPairSync('ed25519').privateKey))],
  ])('signed with %s, say who it is and when they logged in, to the millisecond', async (_key, makeKeys) => {
    const keys = await makeKeys();
    const token = await issueToken({ keys, now }, { ...alice, rooms: ['lobby'] });
    const caller = await ownTokenVerifier({ keys, now })(token);
    expect(caller).toEqual({ kind: 'user', ...alice, rooms: ['lobby'] });
  });

  test('keep working while the secret is rotated, and stop when it is gone', async () => {
    const token = await issueToken({ keys: await keysFromSecrets([secret]), now }, alice);
    const fresh = 'n'.repeat(32);
    const rotating = ownTokenVerifier({ keys: await keysFromSecrets([fresh, secret]), now });
    expect(await rotating(token)).toMatchObject({ sub: 'alice' });
    const rotated = ownTokenVerifier({ keys: await keysFromSecrets([fresh]), now });
    await expect(rotated(token)).rejects.toMatchObject({ code: 'invalid_token' });
  });

  test('publish public keys only', async () => {
    const { jwks } = await keysFromPem(
      pemOf(p256.privateKey) + pemOf(generateKeyPairSync('ed25519').privateKey),
    );
    expect(jwks.keys.map(({ kty, alg }) => [kty, alg])).toEqual([
      ['EC', 'ES256'],
      ['OKP', 'EdDSA'],
    ]);
    for (const key of jwks.keys) expect(key).not.toHaveProperty('d');
    expect((await keysFromSecrets([secret])).jwks).toEqual({ keys: [] });
  });

  const forgeries: [what: string, token: () => Promise<string>][] = [
    ['expired', () => ownToken({ ...claims, exp: seconds })],
    ['not valid yet', () => ownToken({ ...claims, nbf: seconds + 5 })],
    ['without sub', () => ownToken({ ...claims, sub: undefined })],
    ['with a control character in sub', () => ownToken({ ...claims, sub: 'a\nb' })],
    ['with half of a surrogate pair in sub', () => ownToken({ ...claims, sub: 'a\ud800' })],
    ['with half of a surrogate pair in rooms', () => ownToken({ ...claims, rooms: ['\udfff'] })],
    ['without exp', () => ownToken({ ...claims, exp: undefined })],
    ['without auth_time', () => ownToken({ ...claims, auth_time: undefined })],
    ['with an auth_time that is no time', () => ownToken({ ...claims, auth_time: 'never' })],
    ['with rooms that are no list', () => ownToken({ ...claims, rooms: 'all' })],
    ['of another type', () => ownToken(claims, { typ: 'wst-assertion+jwt' })],
    ['signed with another secret', () => ownToken(claims, {}, 'x'.repeat(32))],
    ['of alg none', async () => `${base64url({ alg: 'none', typ: 'at+jwt' })}.${base64url(claims)}.`],
    [
      'with its payload changed',
      async () => {
        const [header, , signature] = (await ownToken(claims)).split('.');
        return `${header}.${base64url({ ...claims, sub: 'root' })}.${signature}`;
      },
    ],
  ];
  test.each(forgeries)('are refused when %s', async (_what, token) => {
    const verify = ownTokenVerifier({ keys: await keysFromSecrets([secret]), now });
    await expect(token().then(verify)).rejects.toMatchObject({ code: 'invalid_token' });
  });

  test('signed by HMAC with our public key are refused', async () => {
    const keys = await keysFromPem(pemOf(p256.privateKey));
    const signed = `${base64url({ alg: 'HS256', typ: 'at+jwt' })}.${base64url(claims)}`;
    const publicPem = p256.publicKey.export({ type: 'spki', format: 'pem' });
    const token = `${signed}.${createHmac('sha256', publicPem).update(signed).digest('base64url')}`;
    await expect(ownTokenVerifier({ keys, now })(token)).rejects.toMatchObject({ code: 'invalid_token' });
  });

  test('an auth_time in the future counts as now, so that revocation reaches it', async () => {
    const verify = ownTokenVerifier({ keys: await keysFromSecrets([secret]), now });
    expect(await verify(await ownToken({ ...claims, auth_time: seconds + 9999 }))).toMatchObject({
      auth_time: now() / 1000,
    });
  });
});

describe("an identity provider's tokens", () => {
  async function provider() {
    const keys = new Map<string, typeof p256.privateKey>();
    let down = false;
    const server = createServer(async (_request, response) => {
      if (down) return response.writeHead(500).end('{}');
      const published = [...keys].map(async ([kid, key]) => {
        const { d: _private, ...jwk } = await exportJWK(key);
        return { ...jwk, kid, alg: 'ES256' };
      });
      return response.end(JSON.stringify({ keys: await Promise.all(published) }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const issuer = `http://127.0.0.1:${port}`;
    const add = (kid: string) => keys.set(kid, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
    add('one');
    return {
      issuer,
      add,
      remove: (kid: string) => keys.delete(kid),
      goDown: () => {
        down = true;
      },
      sign: (kid: string, over: object = {}) => {
        const key = keys.get(kid);
        if (!key) throw new Error('no such key');
        const payload = {
          iss: issuer,
          aud: 'chat',
          sub: 'u1',
          iat: seconds - 10,
          exp: seconds + 60,
          ...over,
        };
        return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid }).sign(key);
      },
      verifier: () => idpTokenVerifier({ jwksUrl: `${issuer}/jwks`, issuer, audience: 'chat', now, fetch }),
      close: () => new Promise((resolve) => server.close(resolve)),
    };
  }

  test('are verified by its published keys; auth_time is their iat', async () => {
    const idp = await provider();
    const verify = idp.verifier();
    expect(await verify(await idp.sign('one', { preferred_username: 'Ute' }))).toEqual({
      kind: 'user',
      sub: 'u1',
      username: 'Ute',
      auth_time: seconds - 10,
      exp: seconds + 60,
    });
    await idp.close();
  });

  test.each([
    ['expired', { exp: seconds - 1 }],
    ['not valid yet', { nbf: seconds + 60 }],
    ['for another audience', { aud: 'mail' }],
    ['for no audience', { aud: undefined }],
    ['without sub', { sub: undefined }],
    ['without iat', { iat: undefined }],
    ['without exp', { exp: undefined }],
    ['issued in the future, where no revocation of before would reach them', { iat: seconds + 6 }],
  ])('are refused when %s', async (_what, over) => {
    const idp = await provider();
    await expect(idp.sign('one', over).then(idp.verifier())).rejects.toMatchObject({ code: 'invalid_token' });
    await idp.close();
  });

  test('name nobody by what people may choose themselves', async () => {
    const idp = await provider();
    const token = await idp.sign('one', { name: 'alice', iat: seconds + 4 });
    expect(await idp.verifier()(token)).toMatchObject({ username: 'u1', auth_time: now() / 1000 });
    await idp.close();
  });

  test('follow its keys when they rotate', async () => {
    const idp = await provider();
    const verify = idp.verifier();
    await verify(await idp.sign('one'));
    idp.add('two');
    expect(await verify(await idp.sign('two'))).toMatchObject({ sub: 'u1' });
    await idp.close();
  });

  test('are not refused but put off while it is down', async () => {
    const idp = await provider();
    idp.goDown();
    await expect(idp.sign('one').then(idp.verifier())).rejects.toMatchObject({
      code: 'idp_unavailable',
      status: 503,
    });
    await idp.close();
    await expect(idp.sign('one').then(idp.verifier())).rejects.toMatchObject({ code: 'idp_unavailable' });
  });

  test('of anybody else are not ours to judge', async () => {
    const idp = await provider();
    expect(await idp.verifier()(await ownToken(claims))).toBeUndefined();
    expect(await idp.verifier()('not-a-jwt')).toBeUndefined();
    await idp.close();
  });
});

describe('cachedVerifier', () => {
  test('asks once for a token, until it expires', async () => {
    let clock = now();
    let asked = 0;
    const verify = cachedVerifier(
      async () => {
        asked++;
        return { kind: 'user', ...alice };
      },
      { now: () => clock },
    );
    await verify('token');
    await verify('token');
    expect(asked).toBe(1);
    clock = alice.exp * 1000;
    await verify('token');
    expect(asked).toBe(2);
  });

  test('remembers no refusal', async () => {
    let asked = 0;
    const verify = cachedVerifier(
      async () => {
        asked++;
        return undefined;
      },
      { now },
    );
    await verify('token');
    await verify('token');
    expect(asked).toBe(2);
  });
});

describe('cachedVerifier with a maxAge', () => {
  const maxAge = 600_000;
  async function remembering(later: () => Promise<never>) {
    let clock = now();
    let known = false;
    const user = { kind: 'user', ...alice, exp: seconds + 3600 } as const;
    let asked = 0;
    const ask = async () => {
      asked++;
      return known ? later() : user;
    };
    const verify = cachedVerifier(ask, { now: () => clock, maxAge });
    await verify('token');
    known = true;
    return {
      verify,
      asked: () => asked,
      user,
      pass(ms: number) {
        clock += ms;
      },
    };
  }
  const withdrawn = async () => {
    throw new BrokerError('invalid_token', { reason: 'err_jwks_no_matching_key' });
  };
  const down = async () => {
    throw new BrokerError('idp_unavailable');
  };

  test('asks again, and believes no more in a key that has been withdrawn', async () => {
    const { verify, user, pass } = await remembering(withdrawn);
    pass(maxAge - 1);
    expect(await verify('token')).toEqual(user);
    pass(1);
    await expect(verify('token')).rejects.toMatchObject({ code: 'invalid_token' });
    pass(-maxAge);
    await expect(verify('token')).rejects.toMatchObject({ code: 'invalid_token' });
  });

  test('goes on while there is nobody to ask, until the token expires', async () => {
    const { verify, asked, user, pass } = await remembering(down);
    pass(maxAge);
    // Whoever cannot be asked may take seconds not to answer.
    for (let times = 0; times < 3; times++) expect(await verify('token')).toEqual(user);
    expect(asked()).toBe(2);
    pass(10_000);
    expect(await verify('token')).toEqual(user);
    expect(asked()).toBe(3);
    await expect(verify('another')).rejects.toMatchObject({ code: 'idp_unavailable' });
    pass(3_600_000);
    await expect(verify('token')).rejects.toMatchObject({ code: 'idp_unavailable' });
  });
});

describe('verifierChain', () => {
  const nobody = async () => undefined;

  test.each([undefined, '', 'Basic YTpi', 'Bearer', 'Bearer a b', 'Bearer \u00e9', 'bearer,x'])(
    'refuses the header %j',
    async (header) => {
      await expect(verifierChain([nobody])(header)).rejects.toMatchObject({ code: 'invalid_token' });
    },
  );

  test('asks the next verifier only when one is not responsible', async () => {
    const user = { kind: 'user' as const, ...alice };
    const credential = randomBytes(8).toString('hex');
    expect(await verifierChain([nobody, async () => user])(`Bearer ${credential}`)).toBe(user);
    const refuse = async () => {
      throw new Error('stop');
    };
    await expect(verifierChain([refuse, async () => user])(`bearer ${credential}`)).rejects.toThrow('stop');
  });

  test('what our verifier is given is what a client decodes', async () => {
    const token = await issueToken({ keys: await keysFromSecrets([secret]), now }, alice);
    expect(decodeJwt(token)).toEqual({ ...claims, iat: seconds });
  });
});
