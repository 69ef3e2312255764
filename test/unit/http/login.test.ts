import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { password, type TestApp, testApp } from '../../support/app.ts';

describe('logging in', () => {
  let broker: TestApp;
  beforeAll(async () => {
    broker = await testApp({ env: { LOGIN_LIMIT: '0' } });
  });
  afterAll(() => broker.close());

  const login = (payload: unknown) =>
    broker.app.inject({
      method: 'POST',
      url: '/api/login',
      headers: { 'content-type': 'application/json' },
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    });
  const token = (form: string | Record<string, string>) =>
    broker.app.inject({
      method: 'POST',
      url: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
    });

  test('answers a token for a password', async () => {
    const before = Date.now() / 1000;
    const answer = await login({ username: 'alice', password });
    const after = Date.now() / 1000;
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['cache-control']).toBe('no-store');
    const { token: jwt, expires_in } = answer.json();
    expect(expires_in).toBe(3600);
    expect(decodeJwt(jwt)).toMatchObject({
      iss: 'ticket-broker',
      sub: 'alice',
      username: 'alice',
      auth_time: expect.toSatisfy((at) => before <= at && at <= after),
    });
  });

  test.each([
    ['with a grant type', { grant_type: 'password' }],
    ['with empty ones of others', { grant_type: '', refresh_token: '' }],
    ['without one', {}],
  ])('answers as OAuth does, %s', async (_how, grant) => {
    const answer = await token({ ...grant, username: 'alice', password });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^wsr_/),
    });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  });

  test('names what an empty form lacks', async () => {
    const answer = await broker.app.inject({ method: 'POST', url: '/token' });
    expect([answer.statusCode, answer.json().error_description]).toEqual([400, 'username is required']);
  });

  test('answers a wrong user as a wrong password', async () => {
    const [wrongPassword, wrongUser] = [
      await login({ username: 'alice', password: 'wrong' }),
      await login({ username: 'nobody', password }),
    ];
    expect(wrongPassword.statusCode).toBe(401);
    expect(wrongUser.body).toBe(wrongPassword.body);
    const grant = await token({ username: 'alice', password: 'wrong' });
    expect(grant.statusCode).toBe(401);
    expect(grant.headers['www-authenticate']).toBe('Bearer');
    expect(grant.json().error).toBe('invalid_grant');
  });

  test.each([
    ['no password', { username: 'alice' }],
    ['no user name', { password }],
    ['an unknown field', { username: 'alice', password, remember: true }],
    ['a number for a password', { username: 'alice', password: 1 }],
    ['a list for a user name', { username: ['alice'], password }],
    ['a NUL in the user name', { username: 'alice\0', password }],
    ['a user name of 300 characters', { username: 'a'.repeat(300), password }],
    ['an empty password', { username: 'alice', password: '' }],
    ['broken JSON', '{"username":"alice","password":"hunter2'],
    ['a list', []],
  ])('refuses %s', async (_what, body) => {
    const answer = await login(body);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error).toBe('invalid_request');
    expect(answer.body).not.toContain('hunter2');
  });

  test('takes an emoji for a user name like any other', async () => {
    expect((await login({ username: '😀', password })).statusCode).toBe(401);
  });

  test.each([
    ['another grant', { grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    ['no user name', { password }, 'invalid_request'],
    ['no password', { username: 'alice' }, 'invalid_request'],
    ['a user name twice', `username=alice&username=bob&password=${password}`, 'invalid_request'],
  ])('refuses the OAuth request with %s', async (_what, form, error) => {
    const answer = await token(form);
    expect([answer.statusCode, answer.json().error]).toEqual([400, error]);
  });

  test('takes JSON in one place and forms in the other', async () => {
    const json = await broker.app.inject({
      method: 'POST',
      url: '/token',
      payload: { username: 'alice', password },
    });
    const form = await broker.app.inject({
      method: 'POST',
      url: '/api/login',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: `username=alice&password=${password}`,
    });
    expect([json.statusCode, form.statusCode]).toEqual([415, 415]);
  });

  test('a password is never logged, wherever it was put', async () => {
    await login({ username: password, password: 'wrong' });
    await token({ username: 'alice', password });
    await login({ username: 'alice', [password]: 'x', password });
    expect(broker.logs()).not.toContain(password);
  });
});

describe('limits', () => {
  test('logins are limited per address and per user name, and say so', async () => {
    const broker = await testApp({ env: { LOGIN_LIMIT: '3', TRUST_PROXY: '127.0.0.1' } });
    const login = (from: string, username: string) =>
      broker.app.inject({
        method: 'POST',
        url: '/api/login',
        headers: { 'x-forwarded-for': from },
        payload: { username, password: 'wrong' },
      });
    for (const [from, username] of ['a', 'b', 'c'].map((name) => ['192.0.2.1', name] as const)) {
      expect((await login(from, username)).statusCode).toBe(401);
    }
    const perAddress = await login('192.0.2.1', 'd');
    expect(perAddress.statusCode).toBe(429);
    expect(perAddress.json().error).toBe('rate_limited');
    expect(Number(perAddress.headers['retry-after'])).toBeGreaterThan(50);
    expect(perAddress.headers['ratelimit-remaining']).toBe('0');

    for (const from of ['192.0.2.2', '192.0.2.3']) expect((await login(from, 'a')).statusCode).toBe(401);
    expect((await login('192.0.2.4', 'a')).statusCode).toBe(429);
    expect((await login('192.0.2.4', 'z')).statusCode).toBe(401);
    await broker.close();
  });

  test('tickets are limited per subject', async () => {
    const broker = await testApp({ env: { MINT_LIMIT: '2' } });
    const headers = { authorization: `Bearer ${await broker.token()}` };
    const mint = () => broker.app.inject({ method: 'POST', url: '/tickets', headers });
    const first = await mint();
    expect(first.headers['ratelimit-remaining']).toBe('1');
    await mint();
    const third = await mint();
    expect([third.statusCode, third.json().error]).toEqual([429, 'rate_limited']);
    await broker.close();
  });

  test('a forwarded address means nothing where no proxy is trusted', async () => {
    const broker = await testApp({ env: { LOGIN_LIMIT: '1' } });
    const login = (from: string) =>
      broker.app.inject({
        method: 'POST',
        url: '/api/login',
        headers: { 'x-forwarded-for': from },
        payload: { username: from, password: 'wrong' },
      });
    expect((await login('192.0.2.1')).statusCode).toBe(401);
    expect((await login('192.0.2.2')).statusCode).toBe(429);
    await broker.close();
  });
});
