import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusals } from '../../../src/errors.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { openApiDocument } from '../../support/openapi-document.ts';

describe('what the service says of itself', () => {
  let broker: TestApp;
  beforeAll(async () => {
    broker = await testApp();
  });
  afterAll(() => broker.close());

  test('openapi.yaml is what the routes say, and what is served', async () => {
    const { body, headers } = await broker.app.inject('/openapi.yaml');
    expect(headers['content-type']).toContain('application/yaml');
    expect(body).toBe(readFileSync('openapi.yaml', 'utf8'));
    expect(body).toBe(await openApiDocument());
  });

  test('openapi.yaml lists every error code', () => {
    const document = readFileSync('openapi.yaml', 'utf8');
    for (const code of Object.keys(refusals)) expect(document, code).toContain(code);
  });

  test('/docs needs nothing from any other host', async () => {
    const page = await broker.app.inject('/docs/');
    expect(page.statusCode).toBe(200);
    expect(page.body).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    // Its own files come as the page came, with TLS or without.
    expect(page.headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
  });

  test.each(['/healthz', '/readyz'])('%s says ok', async (url) => {
    const answer = await broker.app.inject(url);
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'ok' }]);
  });

  test('/.well-known/jwks.json is empty where a shared secret signs', async () => {
    expect((await broker.app.inject('/.well-known/jwks.json')).json()).toEqual({ keys: [] });
  });

  test.each([
    ['GET', '/nowhere', 404, 'not_found'],
    ['PUT', '/tickets', 404, 'not_found'],
    ['GET', '/%zz', 400, 'invalid_request'],
    ['GET', '/ws', 426, 'upgrade_required'],
  ] as const)('%s %s is a refusal like any other', async (method, url, status, error) => {
    const answer = await broker.app.inject({ method, url });
    expect([answer.statusCode, answer.json().error]).toEqual([status, error]);
    expect(answer.headers['cache-control']).toBe('no-store');
  });
});

test('a node of one tier has only that tier’s routes', async () => {
  const env = { REDIS_URL: 'redis://127.0.0.1:1', JWT_SECRET: 's'.repeat(32), USERS_FILE: '/dev/null' };
  const http = await testApp({ env: { ...env, TIERS: 'http' } });
  const ws = await testApp({ env: { ...env, TIERS: 'ws' } });
  const status = async ({ app }: TestApp, url: string) => (await app.inject(url)).statusCode;
  expect([await status(http, '/ws'), await status(ws, '/ws')]).toEqual([404, 426]);
  expect([await status(http, '/docs/'), await status(ws, '/docs/')]).toEqual([200, 404]);
  expect([await status(http, '/healthz'), await status(ws, '/healthz')]).toEqual([200, 200]);
  await Promise.all([http.close(), ws.close()]);
});

describe('CORS', () => {
  const preflight = async (env: NodeJS.ProcessEnv, origin: string) => {
    const broker = await testApp({ env });
    const answer = await broker.app.inject({
      method: 'OPTIONS',
      url: '/tickets',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    });
    await broker.close();
    return answer.headers['access-control-allow-origin'];
  };

  test('answers the allowed origins and no other', async () => {
    const env = { ALLOWED_ORIGINS: 'https://a.example, https://b.example' };
    expect(await preflight(env, 'https://b.example')).toBe('https://b.example');
    expect(await preflight(env, 'https://c.example')).toBeUndefined();
    expect(await preflight({}, 'https://a.example')).toBeUndefined();
  });
});
