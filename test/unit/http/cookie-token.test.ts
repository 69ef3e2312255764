import { hash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ticketId } from '../../../src/tickets/ticket.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { aClaim } from '../../support/records.ts';

const name = '__Host-token';
const host = 'broker.example';
const home = { origin: `https://${host}` };
const serviceKey = 'the-key-of-a-backend';

/** What a browser says of a page besides its origin. */
const from = (site: string) => ({ 'sec-fetch-site': site });

describe('POST /tickets by cookie', () => {
  let broker: TestApp;
  let listing: TestApp;
  let token: string;
  beforeAll(async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'keys-')), 'keys');
    writeFileSync(file, `backend:${hash('sha256', serviceKey, 'hex')}:tickets:mint,revoke`);
    const env = { AUTH_COOKIE: name, JWT_SECRET: 's'.repeat(32), SERVICE_KEYS_FILE: file };
    broker = await testApp({ env });
    listing = await testApp({ env: { ...env, ALLOWED_ORIGINS: 'https://app.example' } });
    token = await broker.token();
  });
  afterAll(() => Promise.all([broker.close(), listing.close()]));

  const mint = (headers: Record<string, string>, { app }: TestApp = broker) =>
    app.inject({ method: 'POST', url: '/tickets', headers: { host, ...headers } });
  const withCookie = (headers: Record<string, string>, by?: TestApp) =>
    mint({ cookie: `theme=dark; ${name}=${token}; a=b`, ...headers }, by);
  const lastReason = (by = broker) => by.decisions().at(-1)?.['reason'];

  test('mints for the user of its token', async () => {
    const answer = await withCookie(home);
    expect(answer.statusCode).toBe(201);
    const redemption = await broker.store.redeem(ticketId(answer.json().ticket), aClaim());
    expect(redemption).toMatchObject({ outcome: 'redeemed', record: { sub: 'alice' } });
  });

  test.each([
    ['its own', home],
    ['its own', { ...home, ...from('same-origin') }],
    ['its own, where a proxy ends TLS', { origin: `http://${host}` }],
    ['its own, by a browser that sends no Origin', from('same-origin')],
  ])('is open to a page of %s: %j', async (_whose, headers) => {
    expect((await withCookie(headers)).statusCode).toBe(201);
  });

  test.each([
    ['another origin', { origin: 'https://evil.example' }],
    ['another origin that claims to be ours', { origin: 'https://evil.example', ...from('same-origin') }],
    ['another port', { origin: `https://${host}:8443`, ...from('same-site') }],
    [
      'the same host without TLS, where this is with TLS',
      { origin: `http://${host}`, ...from('cross-site') },
    ],
    ['no origin that has a name', { origin: 'null' }],
    ['no origin that has a name', { origin: 'null', ...from('cross-site') }],
    ['an origin that nobody tells', {}],
    ['an origin that nobody tells, of another site', from('cross-site')],
    ['an origin that nobody tells, of the same site', from('same-site')],
    ['no page at all', from('none')],
  ])('is closed to a page of %s: %j', async (_whose, headers) => {
    const answer = await withCookie(headers);
    expect([answer.statusCode, answer.json().error]).toEqual([403, 'origin_forbidden']);
    expect(lastReason()).toBe('origin' in headers ? 'origin_forbidden' : 'no_origin');
  });

  test.each([
    [201, { origin: 'https://app.example' }],
    [201, { origin: 'https://app.example', ...from('cross-site') }],
    [201, { origin: 'https://app.example', ...from('same-site') }],
    [201, from('same-origin')],
    [403, { origin: 'https://evil.example', ...from('cross-site') }],
    [403, { origin: 'https://app.example.evil.example' }],
    [403, home],
    [403, from('cross-site')],
    [403, {}],
  ])('with ALLOWED_ORIGINS, answers %i to %j', async (status, headers) => {
    expect((await withCookie(headers, listing)).statusCode).toBe(status);
  });

  test('does not ask for the origin of anybody who has no such cookie', async () => {
    const answer = await mint({ cookie: 'other=x', origin: 'https://evil.example' });
    expect([answer.statusCode, answer.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect(lastReason()).toBe('no_credential');
  });

  test.each([
    ['empty', () => `${name}=`, 'malformed_credential'],
    ['no token', () => `${name}=nonsense`, 'unknown_credential'],
    ['two words', () => `${name}=two words`, 'malformed_credential'],
    ['a forged token', () => `${name}=${token.slice(0, -5)}AAAAA`, 'err_jws_signature_verification_failed'],
    ['a service key', () => `${name}=${serviceKey}`, 'key_in_cookie'],
    ['a name alone', () => name, 'no_credential'],
    ['of another case', () => `${name.toLowerCase()}=${token}`, 'no_credential'],
    ['of a longer name', () => `x${name}=${token}`, 'no_credential'],
  ])('refuses a cookie that is %s with 401', async (_what, cookie, reason) => {
    const answer = await mint({ ...home, cookie: cookie() });
    expect([answer.statusCode, answer.json().error]).toEqual([401, 'invalid_token']);
    expect(lastReason()).toBe(reason);
  });

  test.each([
    ['the same one', () => `${name}=${token}; ${name}=${token}`],
    ['a neighbour’s before it', () => `${name}=tossed; ${name}=${token}`],
    ['a neighbour’s after it', () => `${name}=${token};${name}=tossed`],
    ['an empty one', () => `${name}=; ${name}=${token}`],
  ])('refuses the cookie when it comes twice: %s', async (_what, cookie) => {
    const answer = await mint({ ...home, cookie: cookie() });
    expect([answer.statusCode, answer.json()]).toEqual([
      400,
      { error: 'invalid_request', error_description: `The cookie ${name} is given more than once.` },
    ]);
    expect(lastReason()).toBe('several_cookies');
  });

  test('is not looked at where there is an Authorization', async () => {
    expect((await withCookie({ ...home, authorization: 'Bearer wrong' })).statusCode).toBe(401);
    expect((await withCookie({ ...home, authorization: '' })).statusCode).toBe(401);
    const elsewhere = { origin: 'https://evil.example', authorization: `Bearer ${token}` };
    expect((await withCookie(elsewhere)).statusCode).toBe(201);
    const payload = { sub: 'bob' };
    const headers = { host, ...home, cookie: `${name}=${token}`, authorization: `Bearer ${serviceKey}` };
    const answer = await broker.app.inject({ method: 'POST', url: '/tickets', headers, payload });
    expect(await broker.store.redeem(ticketId(answer.json().ticket), aClaim())).toMatchObject({
      record: { sub: 'bob', minted_by: 'backend' },
    });
  });

  test('is for minting only', async () => {
    const headers = { host, ...home, cookie: `${name}=${token}` };
    const { ticket_id } = (await withCookie(home)).json();
    for (const url of [`/tickets/${ticket_id}`, '/sessions', '/sessions/AAAAAAAAAAAAAAAAAAAAAA']) {
      const answer = await broker.app.inject({ method: 'DELETE', url, headers });
      expect([url, answer.statusCode, answer.json().error]).toEqual([url, 401, 'invalid_token']);
    }
  });

  test('means nothing unless AUTH_COOKIE says so', async () => {
    const plain = await testApp({ env: { JWT_SECRET: 's'.repeat(32) } });
    expect((await withCookie(home, plain)).statusCode).toBe(401);
    await plain.close();
  });

  test('is refused once its token is revoked', async () => {
    const revoking = await testApp({ env: { AUTH_COOKIE: name } });
    const bearer = `Bearer ${await revoking.token()}`;
    const cookie = `${name}=${bearer.slice(7)}`;
    expect((await mint({ ...home, cookie }, revoking)).statusCode).toBe(201);
    await revoking.app.inject({ method: 'DELETE', url: '/sessions', headers: { authorization: bearer } });
    const answer = await mint({ ...home, cookie }, revoking);
    expect([answer.statusCode, answer.json().error]).toEqual([401, 'token_revoked']);
    await revoking.close();
  });

  test('is never logged', async () => {
    await withCookie(home);
    await withCookie({ origin: 'https://evil.example' });
    await mint({ ...home, cookie: `${name}=tossed-value; ${name}=${token}` });
    await broker.app.inject({ url: '/nowhere', headers: { cookie: `${name}=${token}` } });
    expect(broker.logs()).toContain('"decision":"mint"');
    expect(broker.logs()).not.toContain(token);
    expect(broker.logs()).not.toContain('tossed-value');
  });

  describe('across origins', () => {
    const preflight = ({ app }: TestApp, origin: string) =>
      app.inject({
        method: 'OPTIONS',
        url: '/tickets',
        headers: { origin, 'access-control-request-method': 'POST' },
      });

    test('lets a page of a named origin send it and read the answer', async () => {
      const origin = 'https://app.example';
      for (const answer of [await preflight(listing, origin), await withCookie({ origin }, listing)]) {
        expect(answer.headers).toMatchObject({
          'access-control-allow-origin': origin,
          'access-control-allow-credentials': 'true',
        });
      }
    });

    test('says nothing of the kind to others, or without AUTH_COOKIE', async () => {
      const answer = await preflight(listing, 'https://evil.example');
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');

      for (const ALLOWED_ORIGINS of ['https://app.example', '*']) {
        const plain = await testApp({ env: { ALLOWED_ORIGINS } });
        const { headers } = await preflight(plain, 'https://app.example');
        expect(headers).toHaveProperty('access-control-allow-origin');
        expect(headers).not.toHaveProperty('access-control-allow-credentials');
        await plain.close();
      }
    });
  });
});
