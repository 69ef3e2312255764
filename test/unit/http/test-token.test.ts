import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { hashPassword } from '../../../src/credentials/passwords.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { secretsIn } from '../../support/broker-process.ts';

const started: TestApp[] = [];
afterEach(async () => {
  for (const broker of started.splice(0)) await broker.close();
});

async function start(env: NodeJS.ProcessEnv, now = Date.now): Promise<TestApp> {
  const broker = await testApp({ env, now });
  started.push(broker);
  return broker;
}

const testToken = async ({ app }: TestApp) => {
  const answer = await app.inject('/test-token');
  return { status: answer.statusCode, headers: answer.headers, ...answer.json() };
};
const mint = async ({ app }: TestApp, token: string, payload: object) => {
  const headers = { authorization: `Bearer ${token}` };
  return (await app.inject({ method: 'POST', url: '/tickets', headers, payload })).statusCode;
};

async function usersFile(...names: string[]): Promise<string> {
  const path = join(mkdtempSync(join(tmpdir(), 'users-')), 'users');
  const hash = await hashPassword('correct horse battery staple');
  writeFileSync(path, names.map((name) => `${name}:${hash}\n`).join(''));
  return path;
}

describe('GET /test-token', () => {
  test('lets whoever asks in as demo, for as long as any token, and says so', async () => {
    const at = Date.UTC(2030, 0, 1, 12);
    const broker = await start({ ACCESS_TOKEN_TTL: '90' }, () => at);
    const { status, headers, test_token, note } = await testToken(broker);
    expect([status, headers['cache-control']]).toEqual([200, 'no-store']);
    expect(decodeJwt(test_token)).toEqual({
      iss: 'ticket-broker',
      sub: 'demo',
      username: 'demo',
      auth_time: at / 1000,
      iat: at / 1000,
      exp: at / 1000 + 90,
    });
    expect(note).toBe(
      'This token is for testing only. It is valid for the user demo, until 2030-01-01T12:01:30Z.',
    );
    expect(await mint(broker, test_token, { rooms: ['anywhere'] })).toBe(201);
    expect(broker.decisions()).toContainEqual(
      expect.objectContaining({ decision: 'login', via: 'test-token', sub: 'demo', granted: true }),
    );
    expect(secretsIn(broker.logs())).toEqual([]);
  });

  test('is limited as logins are', async () => {
    const at = Date.now();
    const broker = await start({ LOGIN_LIMIT: '2' }, () => at);
    const answers = [await testToken(broker), await testToken(broker), await testToken(broker)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[2]).toMatchObject({ error: 'rate_limited', headers: { 'retry-after': '60' } });
  });

  test('gives way to a revocation, and a new one is good again', async () => {
    let at = Date.now();
    const broker = await start({}, () => at);
    const { test_token } = await testToken(broker);
    const headers = { authorization: `Bearer ${test_token}` };
    const ended = await broker.app.inject({ method: 'DELETE', url: '/sessions', headers });
    expect(ended.statusCode).toBe(204);
    expect(await mint(broker, test_token, {})).toBe(401);
    at += 1;
    expect(await mint(broker, (await testToken(broker)).test_token, {})).toBe(201);
  });

  test('beside other users, gets into one room of its own', async () => {
    const broker = await start({ DEMO: 'on', USERS_FILE: await usersFile('alice') });
    const { test_token, note } = await testToken(broker);
    expect(decodeJwt(test_token)['rooms']).toEqual(['demo']);
    expect(note).toContain('user demo, in the room demo only, until');
    expect(await mint(broker, test_token, { rooms: ['demo'] })).toBe(201);
    expect(await mint(broker, test_token, { rooms: ['lobby'] })).toBe(403);
  });

  test('never lets anyone in as somebody who is called demo', async () => {
    const broker = await start({ DEMO: 'on', USERS_FILE: await usersFile('alice', 'demo') });
    expect(await testToken(broker)).toMatchObject({ status: 404, error: 'not_found' });
    expect(broker.decisions()).toContainEqual(
      expect.objectContaining({ decision: 'login', granted: false, reason: 'demo_is_a_user' }),
    );
  });

  test('is not there where others can come in, unless DEMO=on', async () => {
    const broker = await start({ USERS_FILE: await usersFile('alice') });
    expect(await testToken(broker)).toMatchObject({ status: 404, error: 'not_found' });
  });
});
