import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket as WsClient } from 'ws';
import { hashPassword } from '../../src/credentials/passwords.ts';
import { type BrokerProcess, repository, startBroker } from '../support/broker-process.ts';
import { openChat } from '../support/chat-socket.ts';

// What the documents that this product grew from tell clients to do, changed in host and credentials only. Seed 003's
// classes are in client-seed.test.ts, seed 001's hook is in client-pages.test.ts.
let folder: string;
let broker: BrokerProcess;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeds-'));
  await symlink(join(repository, 'test/support/websocat.js'), join(folder, 'websocat'));
  await writeFile(join(folder, 'users'), `user:${await hashPassword('password')}\n`);
  broker = await startBroker({
    USERS_FILE: join(folder, 'users'),
    DEMO: 'on',
    WS_ACCEPT: 'ticket,bearer,token,message',
    WS_REJECT: 'close',
    ATTEMPT_LIMIT: '0',
  });
});
afterAll(async () => {
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
});

const host = () => `127.0.0.1:${broker.port}`;
const run = promisify(execFile);
/** Runs lines in a shell that finds `websocat`, and this Node. */
async function shell(lines: string): Promise<string> {
  const path = [folder, join(process.execPath, '..'), process.env['PATH']].join(':');
  const { stdout } = await run('sh', ['-c', lines], { env: { PATH: path } });
  return stdout;
}
const parsed = (lines: string) =>
  lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('seed 001, on the command line', () => {
  test('obtaining a token', async () => {
    const [answer] = parsed(
      await shell(`curl -s -X POST "http://${host()}/token" \\
  -H "Content-Type: application/x-www-form-urlencoded" \\
  -d "username=user&password=password"`),
    );
    expect(answer).toMatchObject({ token_type: 'bearer', expires_in: 3600 });
    expect(answer.access_token).toMatch(/^eyJ/);
  });

  test('using the test token', async () => {
    const [answer] = parsed(await shell(`curl -s "http://${host()}/test-token"`));
    expect(answer).toEqual({ test_token: expect.stringMatching(/^eyJ/), note: expect.any(String) });
    const heard = parsed(
      await shell(`# Use the test token directly
echo '{"type":"test","payload":{"message":"Hello"}}' | websocat "ws://${host()}/ws?token=${answer.test_token}"`),
    );
    expect(heard).toMatchObject([
      { type: 'welcome' },
      { type: 'test', user: 'demo', payload: { message: 'Hello' } },
    ]);
  });

  test('connecting with a token using websocat', async () => {
    const other = await openChat(`ws://${host()}/ws?token=${await login('user', 'password')}`);
    const heard = parsed(
      await shell(`TOKEN=$(curl -s -X POST "http://${host()}/token" \\
  -H "Content-Type: application/x-www-form-urlencoded" \\
  -d "username=user&password=password" | jq -r '.access_token')

echo '{"type":"test","payload":{"message":"Hello"}}' | websocat "ws://${host()}/ws?token=$TOKEN"`),
    );
    const stamped = {
      type: 'test',
      payload: { message: 'Hello' },
      user: 'user',
      timestamp: expect.any(Number),
      requestId: expect.any(String),
    };
    expect(heard).toMatchObject([{ type: 'welcome' }, stamped]);
    expect(await other.next('test')).toMatchObject(stamped);
    other.socket.close();
  });
});

/** Seed 001's login function. */
async function login(username: string, password: string) {
  const response = await fetch(`http://${host()}/token`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({
      username,
      password,
    }),
  });

  if (response.ok) {
    const data = (await response.json()) as { access_token: string };
    return data.access_token;
  } else {
    throw new Error('Authentication failed');
  }
}

const firstMessage = async (socket: WebSocket) =>
  JSON.parse(String((await nextEvent<MessageEvent>(socket, 'message')).data));
const nextEvent = <E extends Event>(socket: WebSocket, type: string) =>
  new Promise<E>((resolve) => socket.addEventListener(type, (event) => resolve(event as E), { once: true }));

test('seed 001, a page: log in, then a WebSocket with the token', async () => {
  const token = await login('user', 'password');
  const ws = new WebSocket(`ws://${host()}/ws?token=${token}`);
  expect(await firstMessage(ws)).toMatchObject({ type: 'welcome', sub: 'user' });
  ws.close();
  await expect(login('user', 'wrong')).rejects.toThrow('Authentication failed');
});

test('seed 001, a connection without a valid token is closed with 1008', async () => {
  for (const query of ['', '?token=invalid']) {
    const ws = new WebSocket(`ws://${host()}/ws${query}`);
    expect((await nextEvent<CloseEvent>(ws, 'close')).code).toBe(query === '' ? 3008 : 1008);
  }
}, 20_000);

test('seed 000: POST /api/login, then the token in the query', async () => {
  const response = await fetch(`http://${host()}/api/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username: 'user', password: 'password' }),
  });
  const { token, expires_in } = (await response.json()) as { token: string; expires_in: number };
  expect([response.status, expires_in]).toEqual([200, 3600]);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toMatchObject({ sub: 'user', username: 'user' });
  expect(claims.exp - claims.iat).toBe(3600);
  const ws = new WebSocket(`ws://${host()}/ws?token=${token}`);
  expect(await firstMessage(ws)).toMatchObject({ type: 'welcome' });
  ws.close();
});

test('seed 003, before: connect first, then show the ticket in a message', async () => {
  const { ticket } = await mint();
  const ws = new WebSocket(`ws://${host()}/ws`);
  ws.onopen = () => {
    ws.send(
      JSON.stringify({
        type: 'ticket_authenticate',
        ticket,
      }),
    );
  };
  expect(await firstMessage(ws)).toMatchObject({ type: 'welcome', sub: 'user' });
  ws.close();
});

test('seed 003, after: the ticket is in the URL, and messages go at once', async () => {
  const { ticket } = await mint();
  const ws = new WebSocket(`ws://${host()}/ws?ticket=${ticket}`);
  ws.onopen = () => ws.send('{"type":"test"}');
  // Both may come at once.
  const heard: object[] = [];
  ws.onmessage = ({ data }) => heard.push(JSON.parse(String(data)));
  await expect.poll(() => heard).toMatchObject([{ type: 'welcome' }, { type: 'test', user: 'user' }]);

  const again = new WebSocket(`ws://${host()}/ws?ticket=${ticket}`);
  // Policy violation: authentication failed.
  expect((await nextEvent<CloseEvent>(again, 'close')).code).toBe(1008);
  ws.close();
});

test('seed 004: the token in the Authorization header of the handshake', async () => {
  const token = await login('user', 'password');
  const headers = { Authorization: `Bearer ${token}` };
  const socket = new WsClient(`ws://${host()}/ws`, { headers });
  expect(JSON.parse(String((await once(socket, 'message'))[0]))).toMatchObject({ type: 'welcome' });
  socket.close();
});

async function mint(): Promise<{ ticket: string }> {
  const headers = { authorization: `Bearer ${await login('user', 'password')}` };
  const response = await fetch(`http://${host()}/tickets`, { method: 'POST', headers });
  return (await response.json()) as { ticket: string };
}
