import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestApp, testApp } from '../../support/app.ts';
import { secretsIn } from '../../support/broker-process.ts';

const host = '127.0.0.1:8080';
const files = readdirSync('src/demo').filter((name) => !/^(index\.html|tsconfig\.json)$/.test(name));

describe('the demo page', () => {
  let broker: TestApp;
  beforeAll(async () => {
    broker = await testApp();
  });
  afterAll(() => broker.close());

  const get = (url: string, headers: Record<string, string> = {}) =>
    broker.app.inject({ url, headers: { host, ...headers } });

  test('runs its own scripts and styles, talks to its own host, and is nobody’s frame', async () => {
    const { statusCode, headers } = await get('/');
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    expect(String(headers['content-security-policy']).split('; ')).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      `connect-src 'self' ws://${host}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
  });

  test('has no script or style in its markup, names no other host, and is filled in', async () => {
    const { body } = await get('/');
    expect(body).not.toMatch(/<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:/i);
    expect(body).not.toMatch(/(src|href|action)="(\w+:)?\/\//);
    expect(body).toContain('data-kept-in="Memory"');
    expect(body).not.toContain('{{');
  });

  test.each(files)('/demo/%s is served as what it is', async (name) => {
    const { statusCode, headers, body } = await get(`/demo/${name}`);
    expect(statusCode).toBe(200);
    const types = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
    expect(headers['content-type']).toContain(types[name.split('.')[1] as keyof typeof types]);
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(body).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
  });

  test('has all the files that it and they name', async () => {
    const named = new Set<string>();
    const follow = async (url: string) => {
      if (named.has(url)) return;
      named.add(url);
      const { statusCode, body } = await get(url);
      expect(statusCode, url).toBe(200);
      for (const [, path = ''] of body.matchAll(/(?:src|href)="(\/demo\/[^"]+)"| from '(?:\.\/)([^']+)'/g)) {
        if (path) await follow(path);
      }
      for (const [, path = ''] of body.matchAll(/ from '\.\/([^']+)'/g)) await follow(`/demo/${path}`);
    };
    await follow('/');
    expect([...named].filter((url) => url !== '/').sort()).toEqual(
      files.map((name) => `/demo/${name}`).sort(),
    );
  });

  test.each([
    '/demo/',
    '/demo/tsconfig.json',
    '/demo/index.html',
    '/demo/../app.ts',
    '/demo/%2e%2e/app.ts',
    '/demo/..%2fapp.ts',
    '/demo/..%5capp.ts',
    '/demo/page.js%00.css',
    '/demo//etc/passwd',
  ])('serves nothing else: %s', async (url) => {
    const { statusCode, headers } = await get(url);
    expect(statusCode).toBe(404);
    expect(headers['content-type']).toContain('application/json');
  });

  test.each(['evil.example;script-src *', 'a b', "x' *", 'a,b'])(
    'lets no Host into its policy: %s',
    async (evil) => {
      expect((await get('/', { host: evil })).statusCode).toBe(400);
    },
  );
});

describe('the page may open sockets', () => {
  const connectSrc = async (env: NodeJS.ProcessEnv, headers: Record<string, string> = { host }) => {
    const broker = await testApp({ env });
    const answer = await broker.app.inject({ url: '/', headers });
    await broker.close();
    return /connect-src ([^;]*)/.exec(String(answer.headers['content-security-policy']))?.[1];
  };

  test('where PUBLIC_WS_URL says', async () => {
    expect(await connectSrc({ PUBLIC_WS_URL: 'wss://sockets.example/chat' })).toBe(
      "'self' wss://sockets.example",
    );
  });

  test('over TLS, where a trusted proxy has ended it', async () => {
    const forwarded = { host, 'x-forwarded-proto': 'https' };
    expect(await connectSrc({ TRUST_PROXY: '127.0.0.1' }, forwarded)).toBe(`'self' wss://${host}`);
    expect(await connectSrc({}, forwarded)).toBe(`'self' ws://${host}`);
  });

  test('at an IPv6 address, which a policy cannot name', async () => {
    expect(await connectSrc({}, { host: '[::1]:8080' })).toBe("'self'");
  });
});

test('with DEMO=off there is no page, no token and no question', async () => {
  const broker = await testApp({ env: { DEMO: 'off' } });
  for (const [method, url] of [
    ['GET', '/'],
    ['GET', '/demo/page.js'],
    ['GET', '/test-token'],
    ['POST', '/demo/ticket'],
  ] as const) {
    const answer = await broker.app.inject({ method, url });
    expect([url, answer.statusCode, answer.json().error]).toEqual([url, 404, 'not_found']);
  }
  await broker.close();
});

describe('what became of a ticket', () => {
  let broker: TestApp;
  beforeAll(async () => {
    broker = await testApp({ env: { MINT_LIMIT: '12' } });
  });
  afterAll(() => broker.close());

  const ask = async (ticket: string) => {
    const payload = { ticket };
    const answer = await broker.app.inject({ method: 'POST', url: '/demo/ticket', payload });
    return { status: answer.statusCode, ...answer.json() };
  };

  test('is told whoever holds it, and asking leaves it as it is', async () => {
    const { ticket } = await broker.ticket();
    expect(await ask(ticket)).toEqual({ status: 200, state: 'unused' });
    const opened = await broker.app.inject(`/verify?ticket=${ticket}`);
    expect(opened.statusCode).toBe(200);
    const session_id = opened.headers['x-auth-request-session'];
    expect(await ask(ticket)).toEqual({ status: 200, state: 'used', session_id, node: 'test' });
  });

  test('is that it was taken back, or that nothing is known of it', async () => {
    const { ticket } = await broker.ticket();
    await broker.app.inject({ method: 'POST', url: '/tickets/revoke', payload: { ticket } });
    expect(await ask(ticket)).toEqual({ status: 200, state: 'revoked' });
    expect(await ask(`wst_${'x'.repeat(43)}`)).toEqual({ status: 200, state: 'unknown' });
    expect(await ask('nonsense')).toEqual({ status: 200, state: 'unknown' });
  });

  test('is not told without end', async () => {
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await ask('nonsense')).status);
    expect(statuses.at(-1)).toBe(429);
    expect(secretsIn(broker.logs())).toEqual([]);
  });
});
