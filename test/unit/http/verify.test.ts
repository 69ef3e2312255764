import { generateKeyPairSync } from 'node:crypto';
import { METHODS } from 'node:http';
import type { HTTPMethods } from 'fastify';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestApp, testApp } from '../../support/app.ts';

const privateKey = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();

async function broker(env: NodeJS.ProcessEnv = {}) {
  return testApp({ env: { LOGIN_LIMIT: '0', ATTEMPT_LIMIT: '0', ...env } });
}

describe('/verify', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await broker({ VERIFY_URI_HEADER: 'X-Original-URI', VERIFY_REQUEST_ID_HEADER: 'X-Door-Id' });
  });
  afterAll(() => app.close());

  type Headers = Record<string, string>;
  const verify = (headers: Headers = {}, url = '/verify', method: 'GET' | 'POST' = 'GET') =>
    app.app.inject({ method, url, headers });
  const at = (ticket: string, more = ''): Headers => ({ 'x-original-uri': `/chat?ticket=${ticket}${more}` });
  const identity = (headers: object) =>
    Object.keys(headers).filter((name) => /^(x-auth|remote|x-forwarded)/.test(name));

  test('lets a ticket of the original URI in, once, and says who it is', async () => {
    const { ticket } = await app.ticket({ rooms: ['lobby', 'käse'], context: { plan: 'pro' } });
    const first = await verify(at(ticket));
    expect(first.statusCode).toBe(200);
    expect(first.body).toBe('');
    expect(first.headers).toMatchObject({
      'x-auth-request-user': 'alice',
      'x-auth-request-preferred-username': 'alice',
      'x-auth-request-session': expect.stringMatching(/^[\w-]{22}$/),
      'x-auth-request-expires': expect.stringMatching(/^\d{10}$/),
      'x-auth-request-auth-time': expect.stringMatching(/^\d{10}(\.\d+)?$/),
      'x-auth-request-rooms': '["lobby","k\\u00e4se"]',
      'x-auth-request-context': '{"plan":"pro"}',
    });
    const second = await verify(at(ticket));
    expect([second.statusCode, second.json().error]).toEqual([401, 'invalid_ticket']);
    expect(identity(second.headers)).toEqual([]);
  });

  test('lets a ticket of the subprotocol in', async () => {
    const { ticket } = await app.ticket();
    const answer = await verify({ 'sec-websocket-protocol': `chat, ticket.${ticket}` });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'x-auth-request-rooms': 'null',
      'x-auth-request-context': 'null',
    });
    expect(answer.headers).not.toHaveProperty('sec-websocket-protocol');
  });

  test('takes any method, with any body', async () => {
    for (const method of METHODS.filter((name) => name !== 'CONNECT') as HTTPMethods[]) {
      const { ticket } = await app.ticket();
      const answer = await app.app.inject({ method, url: '/verify', headers: at(ticket) });
      expect([method, answer.statusCode]).toEqual([method, 200]);
    }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'] as HTTPMethods[]) {
      const { ticket } = await app.ticket();
      const headers = { ...at(ticket), 'content-type': 'image/png' };
      const answer = await app.app.inject({ method, url: '/verify', headers, payload: 'x'.repeat(100_000) });
      expect([method, answer.statusCode]).toEqual([method, 200]);
    }
  });

  test('no preflight lets anything in, whatever origins are allowed', async () => {
    const allowing = await broker({ ALLOWED_ORIGINS: 'https://app.example' });
    for (const origin of [undefined, 'https://app.example', 'https://evil.example']) {
      for (const url of ['/verify', '/verify/ws']) {
        const headers = { ...(origin && { origin, 'access-control-request-method': 'GET' }) };
        const answer = await allowing.app.inject({ method: 'OPTIONS', url, headers });
        expect(answer.statusCode).toBe(origin?.includes('evil') ? 403 : 401);
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
      }
    }
    const { ticket } = await allowing.ticket();
    const good = { 'sec-websocket-protocol': `chat, ticket.${ticket}`, origin: 'https://app.example' };
    const answer = await allowing.app.inject({ method: 'OPTIONS', url: '/verify', headers: good });
    expect(answer.statusCode).toBe(200);
    await allowing.close();
  });

  test('believes no other header about the URI, and not its own query', async () => {
    const { ticket } = await app.ticket();
    for (const name of ['x-forwarded-uri', 'x-original-url', 'x-rewrite-url']) {
      expect((await verify({ [name]: `/chat?ticket=${ticket}` })).statusCode).toBe(401);
    }
    expect((await verify({}, `/verify?ticket=${ticket}`)).statusCode).toBe(401);
    expect((await verify(at(ticket))).statusCode).toBe(200);
  });

  test.each([
    ['none', (): Headers => ({})],
    ['one that is malformed', (): Headers => at('wst_short')],
    ['two', (a: string, b: string): Headers => at(a, `&ticket=${b}`)],
    [
      'one in each place',
      (a: string, b: string): Headers => ({ ...at(a), 'sec-websocket-protocol': `chat, ticket.${b}` }),
    ],
  ])('refuses %s with 401 and spends nothing', async (_what, headers) => {
    const [a, b] = [(await app.ticket()).ticket, (await app.ticket()).ticket];
    expect((await verify(headers(a, b))).statusCode).toBe(401);
    for (const ticket of [a, b]) expect((await verify(at(ticket))).statusCode).toBe(200);
  });

  test.each([
    [
      'another service',
      { aud: 'games' },
      (t: string) => verify(at(t), '/verify?aud=chat'),
      'binding_mismatch',
    ],
    [
      'another origin',
      { bind: { origin: 'http://localhost:80' } },
      (t: string) => verify(at(t)),
      'binding_mismatch',
    ],
    [
      'an origin that is not allowed',
      {},
      (t: string) => verify({ ...at(t), origin: 'https://evil.example' }),
      'origin_forbidden',
    ],
    ['another room', { rooms: ['lobby'] }, (t: string) => verify(at(t, '&room=vault')), 'room_forbidden'],
    ['two rooms', {}, (t: string) => verify(at(t, '&room=a&room=b')), 'room_forbidden'],
  ])('refuses %s with 403 and spends nothing', async (_what, minted, wrong, error) => {
    const { ticket, ticket_id } = await app.ticket(minted);
    const refused = await wrong(ticket);
    expect([refused.statusCode, refused.json().error]).toEqual([403, error]);
    expect(await app.store.revoke(ticket_id, 'holder')).toEqual({ outcome: 'revoked' });
  });

  test('takes a room with no name for none, as the gate does', async () => {
    const { ticket } = await app.ticket({ rooms: ['lobby'] });
    expect((await verify(at(ticket, '&room='))).statusCode).toBe(200);
    const { ticket: another } = await app.ticket();
    expect((await verify(at(another, '&room=&room='))).statusCode).toBe(403);
  });

  test('names the service in ?aud=, but not in what a client appends behind /verify/', async () => {
    const [a, b] = [await app.ticket({ aud: 'chat' }), await app.ticket({ aud: 'chat' })];
    expect((await verify(at(a.ticket), '/verify?aud=chat')).statusCode).toBe(200);
    expect((await verify(at(b.ticket), '/verify/chat?aud=chat')).statusCode).toBe(403);
  });

  test('answers the same handshake alike, by the name that the proxy gives it', async () => {
    const { ticket } = await app.ticket();
    const first = await verify({ ...at(ticket), 'x-door-id': 'request-1' });
    const again = await verify({ ...at(ticket), 'x-door-id': 'request-1' });
    expect([first.statusCode, again.statusCode]).toEqual([200, 200]);
    expect(again.headers['x-auth-request-session']).toBe(first.headers['x-auth-request-session']);
    expect(again.headers['x-auth-request-expires']).toBe(first.headers['x-auth-request-expires']);
    expect((await verify({ ...at(ticket), 'x-door-id': 'request-2' })).statusCode).toBe(401);
    expect((await verify(at(ticket))).statusCode).toBe(401);
  });

  test('tells who is over the limit when to come back', async () => {
    const limited = await broker({ VERIFY_URI_HEADER: 'X-Original-URI', ATTEMPT_LIMIT: '1' });
    const knock = () => limited.app.inject({ url: '/verify', headers: at(`wst_${'A'.repeat(43)}`) });
    expect((await knock()).statusCode).toBe(401);
    const refused = await knock();
    expect([refused.statusCode, refused.json().error]).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    await limited.close();
  });

  test('logs each decision, and nothing of the ticket', async () => {
    const { ticket, ticket_id } = await app.ticket();
    await verify(at(ticket));
    expect(app.decisions().at(-1)).toMatchObject({
      decision: 'redeem',
      via: 'verify',
      granted: true,
      sub: 'alice',
      ticket_id,
    });
    expect(app.logs()).not.toContain(ticket.slice(4));
  });
});

describe('/verify/ with what comes behind it', () => {
  test('is the original URI where no header tells it', async () => {
    const app = await broker();
    const { ticket } = await app.ticket({ rooms: ['lobby'] });
    const verify = (url: string) => app.app.inject({ url });
    expect((await verify(`/verify/chat/deep?ticket=${ticket}&room=vault`)).statusCode).toBe(403);
    expect((await verify(`/verify/chat/deep?ticket=${ticket}&room=lobby`)).statusCode).toBe(200);
    await app.close();
  });
});

describe('identity headers', () => {
  test.each([
    ['remote', 'remote-user'],
    ['x-forwarded', 'x-forwarded-user'],
  ])('go by the names of the preset %s', async (preset, header) => {
    const app = await broker({ VERIFY_HEADERS: preset });
    const { ticket } = await app.ticket();
    expect((await app.app.inject(`/verify/?ticket=${ticket}`)).headers).toMatchObject({ [header]: 'alice' });
    await app.close();
  });

  test('come with an assertion that anybody can check, where the signing key has a public half', async () => {
    const app = await broker({ JWT_PRIVATE_KEY: privateKey });
    const { ticket } = await app.ticket({ aud: 'chat', rooms: ['lobby'] });
    const { headers } = await app.app.inject(`/verify?aud=chat&ticket=${ticket}`);
    const jwks = createLocalJWKSet((await app.app.inject('/.well-known/jwks.json')).json());
    const { payload } = await jwtVerify(String(headers['x-auth-assertion']), jwks, {
      issuer: 'ticket-broker',
      audience: 'chat',
      typ: 'wst-assertion+jwt',
    });
    expect(payload).toMatchObject({
      sub: 'alice',
      username: 'alice',
      rooms: ['lobby'],
      sid: headers['x-auth-request-session'],
    });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
    // It is no access token.
    const mint = await app.app.inject({
      method: 'POST',
      url: '/tickets',
      headers: { authorization: `Bearer ${headers['x-auth-assertion']}` },
    });
    expect(mint.statusCode).toBe(401);
    await app.close();
  });

  test('come without one where a secret is shared', async () => {
    const app = await broker();
    const { ticket } = await app.ticket();
    const { headers } = await app.app.inject(`/verify?ticket=${ticket}`);
    expect(headers).not.toHaveProperty('x-auth-assertion');
    await app.close();
  });
});

describe('with WS_AUDIENCE, ?aud=', () => {
  const audience = 'chat';

  test('is nobody else’s choice where the query may be the client’s', async () => {
    const app = await broker({ WS_AUDIENCE: audience });
    const { ticket, ticket_id } = await app.ticket({ aud: 'billing' });
    const offered = { 'sec-websocket-protocol': `chat, ticket.${ticket}` };
    for (const [url, headers] of [
      [`/verify?ticket=${ticket}&aud=billing`, {}],
      ['/verify?aud=billing', offered],
    ] as const) {
      const refused = await app.app.inject({ url, headers });
      expect([refused.statusCode, refused.json().error]).toEqual([403, 'binding_mismatch']);
    }
    expect(await app.store.revoke(ticket_id, 'holder')).toEqual({ outcome: 'revoked' });
    const own = await app.ticket({ aud: audience });
    expect((await app.app.inject(`/verify?ticket=${own.ticket}&aud=billing`)).statusCode).toBe(200);
    await app.close();
  });

  test('is the proxy’s where the original URI comes in a header', async () => {
    const app = await broker({ WS_AUDIENCE: audience, VERIFY_URI_HEADER: 'X-Original-URI' });
    const [billing, chat] = [await app.ticket({ aud: 'billing' }), await app.ticket({ aud: audience })];
    const ask = async (url: string, ticket: string) => {
      const headers = { 'x-original-uri': `/socket?ticket=${ticket}&aud=${audience}` };
      return (await app.app.inject({ url, headers })).statusCode;
    };
    expect(await ask('/verify?aud=billing', chat.ticket)).toBe(403);
    expect(await ask('/verify?aud=billing', billing.ticket)).toBe(200);
    expect(await ask('/verify', chat.ticket)).toBe(200);
    await app.close();
  });
});
