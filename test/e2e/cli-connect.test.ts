import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type BrokerProcess, password, sharedStore, startBroker } from '../support/broker-process.ts';
import { type ChatSocket, openChat } from '../support/chat-socket.ts';
import { type Running, runCommand, startCommand } from '../support/e2e-cli.ts';
import { until } from '../support/e2e-until.ts';
import { freePort } from '../support/redis-server.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

let broker: BrokerProcess;
beforeAll(async () => {
  const SERVICE_KEYS_FILE = serviceKeysFile({ backend: 'tickets:mint', ops: 'revoke' });
  broker = await startBroker({ ...sharedStore(inject('redisUrl')), SERVICE_KEYS_FILE });
});
afterAll(async () => {
  await broker?.stop();
});

const ticketFor = async (sub: string): Promise<{ ticket: string; url: string }> => {
  const answer = await fetch(`${broker.url}/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('backend')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sub, username: sub }),
  });
  return (await answer.json()) as { ticket: string; url: string };
};
/** A socket of somebody else's. */
const other = async (sub: string): Promise<ChatSocket> => openChat((await ticketFor(sub)).url);
const withToken = async () => ({ TICKET_BROKER_TOKEN: await broker.token() });
const at = () => ['--url', broker.url];
const shown = (client: Running, text: string) =>
  until(() => client.stdout().includes(text), `it prints ${text}`);

/** A server that is no broker: it lets everybody in, or refuses whatever it is asked. */
async function startServer(
  answer: ((socket: WebSocket, request: IncomingMessage) => void) | Record<string, string>,
  subprotocol: string | false = 'ticket-broker',
) {
  const server = createServer((_request, response) => {
    response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  if (typeof answer === 'function') {
    new WebSocketServer({ server, handleProtocols: () => subprotocol }).on('connection', answer);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

let rooms = 0;
const aRoom = () => `cli ${++rooms}`;

const line = '{"type":"test","payload":{"message":"Hello"}}';

describe('piped', () => {
  test("seed 001's line is sent, comes back stamped, and it ends a moment later", async () => {
    const hearer = await other('bob');
    const args = ['connect', '--token', await broker.token(), ...at()];
    const ran = await runCommand(args, { stdin: `${line}\n` });
    expect(ran.code).toBe(0);
    expect(ran.stdout).toMatch(/^\[\d\d:\d\d:\d\d\] alice in lobby \(test\): \{"message":"Hello"\}\n$/);
    expect(await hearer.next('test')).toMatchObject({ user: 'alice', payload: { message: 'Hello' } });
    hearer.socket.close();

    const json = await runCommand(['connect', '--json', ...at()], { stdin: line, env: await withToken() });
    expect(JSON.parse(json.stdout)).toMatchObject({
      type: 'test',
      user: 'alice',
      room: 'lobby',
      timestamp: expect.any(Number),
      requestId: expect.any(String),
    });
    expect(json.stdout + json.stderr).not.toContain('wst_');
  });

  test('text is said in the room, more lines than the server takes at once, in order', async () => {
    const [room, texts] = [aRoom(), Array.from({ length: 60 }, (_, index) => `line ${index}`)];
    const args = ['connect', '--room', room, ...at()];
    const ran = await runCommand(args, { stdin: texts.join('\n'), env: await withToken() });
    expect(ran.code).toBe(0);
    const said = ran.stdout.split('\n').filter((text) => text.includes('] alice: '));
    expect(said.map((text) => text.replace(/^.*\] alice: /, ''))).toEqual(texts);
  });

  test('lines wait in the pipe while there is no connection, and none is lost', async () => {
    const [room, texts] = [aRoom(), Array.from({ length: 60 }, (_, index) => `line ${index}`)];
    const proxy = await startTcpProxy(broker.port);
    const args = ['connect', '--room', room, '--url', `http://127.0.0.1:${proxy.port}`];
    const client = startCommand(args, { env: await withToken() });
    await shown(client, '-- joined');
    proxy.pointTo(1);
    proxy.cut();
    const tries = () => client.stderr().match(/not connected/g)?.length ?? 0;
    await until(() => tries() >= 1, 'it notices');
    client.process.stdin.end(texts.join('\n'));
    await until(() => tries() >= 4, 'it has tried again and again');
    proxy.pointTo(broker.port);
    const ran = await client.ended();
    expect(ran.code).toBe(0);
    const said = ran.stdout.split('\n').filter((text) => text.includes('] alice: '));
    expect(said.map((text) => text.replace(/^.*\] alice: /, ''))).toEqual(texts);
    await proxy.close();
  });

  test('where no connection comes any more, it says where it stopped, with exit status 1', async () => {
    const proxy = await startTcpProxy(broker.port);
    const args = ['connect', '--patience', '1', '--url', `http://127.0.0.1:${proxy.port}`];
    const client = startCommand(args, { env: await withToken() });
    client.process.stdin.write('one\n');
    await shown(client, 'alice in lobby: one');
    proxy.pointTo(1);
    proxy.cut();
    await until(() => client.stderr().includes('not connected'), 'it notices');
    client.process.stdin.end('two\nthree\n');
    const ran = await client.ended();
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('no connection for 1 s: line 2 and all after it are not sent\n');
    await proxy.close();
  });

  test('lines go no faster than a server with a low limit takes them', async () => {
    await using slow = await startBroker({ MESSAGE_LIMIT: '3' });
    const texts = Array.from({ length: 12 }, (_, index) => `line ${index}`);
    const args = ['connect', '--room', aRoom(), '--token', await slow.token(), '--url', slow.url];
    const ran = await runCommand(args, { stdin: texts.join('\n') });
    expect(ran).toMatchObject({ code: 0, stdout: expect.not.stringContaining('rate_limited') });
    expect(ran.stdout.match(/\] alice: /g)).toHaveLength(12);
  });

  test('a login takes the password from the first line', async () => {
    const piped = { stdin: `${password}\nhi\n` };
    const ran = await runCommand(['connect', '--login', 'alice', '--room', aRoom(), ...at()], piped);
    expect(ran.stdout).toContain('] alice: hi\n');
    expect(ran.stdout + ran.stderr).not.toContain(password);
    const wrong = await runCommand(['connect', '--login', 'alice', ...at()], { stdin: 'wrong' });
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('401 invalid_credentials') });
  });

  test('a line that is no JSON is not sent, which the exit status tells, and does not end the connection', async () => {
    const args = ['connect', '--room', aRoom(), ...at()];
    const ran = await runCommand(args, { stdin: '{oops\nfine\n', env: await withToken() });
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('not sent: a line that begins with { has to be JSON');
    expect(ran.stdout).toContain('] alice: fine\n');
  });
});

describe('staying', () => {
  test('shows who is there, what was said before, and what others say, without their escape sequences', async () => {
    const room = aRoom();
    const bob = await other('bob');
    bob.say({ type: 'join', room });
    await bob.next('joined');
    bob.say({ type: 'message', room, payload: { text: 'earlier' } });
    await bob.next('message');

    const client = startCommand(['connect', '--room', room, ...at()], { env: await withToken() });
    await shown(client, `-- joined ${room}: `);
    // Another line, which may be read a moment later.
    await shown(client, 'bob: earlier\n');
    expect(client.stdout()).toMatch(/-- joined .*: (alice, bob|bob, alice)\n\[.*\] bob: earlier\n/);
    bob.say({ type: 'message', room, payload: { text: 'red \u001b[31m\u009b31m\u202e' } });
    await shown(client, 'bob: red \ufffd[31m\ufffd31m\ufffd\n');
    bob.socket.close();
    await shown(client, '-- bob has left\n');
    client.process.stdin.end();
    expect(await client.ended()).toMatchObject({ code: 0 });
  });

  test('comes back with a fresh ticket, and shows what was said meanwhile, once', async () => {
    const room = aRoom();
    const proxy = await startTcpProxy(broker.port);
    const args = ['connect', '--room', room, '--url', `http://127.0.0.1:${proxy.port}`];
    const client = startCommand(args, { env: await withToken() });
    await shown(client, '-- joined');
    client.process.stdin.write('before\n');
    await shown(client, 'alice: before');

    const bob = await other('bob');
    bob.say({ type: 'join', room });
    await bob.next('joined');
    proxy.cut();
    await until(() => client.stderr().includes('not connected'), 'it notices');
    bob.say({ type: 'message', room, payload: { text: 'meanwhile' } });
    client.process.stdin.write('queued\n');
    await shown(client, 'alice: queued');
    expect(client.stdout().match(/bob: meanwhile/g)).toHaveLength(1);
    expect(client.stdout().match(/alice: before/g)).toHaveLength(1);
    client.process.stdin.end();
    expect((await client.ended()).code).toBe(0);

    const tickets = broker
      .decisions()
      .filter(({ decision, granted, sub }) => decision === 'redeem' && granted && sub === 'alice')
      .slice(-2)
      .map(({ ticket_id }) => ticket_id);
    expect(new Set(tickets).size).toBe(2);
    bob.socket.close();
    await proxy.close();
  });

  test('ends when it is revoked, and says so', async () => {
    const room = aRoom();
    const login = await runCommand(['token', 'alice', ...at()], { stdin: password });
    const client = startCommand(['connect', '--room', room, ...at()], {
      env: { TICKET_BROKER_TOKEN: login.stdout.trim() },
    });
    await shown(client, '-- joined');
    const revoked = await runCommand(['revoke', '--sub', 'alice', ...at()], { stdin: keyOf('ops') });
    expect(revoked.stdout).toBe('revoked: 1 session\n');
    expect(await client.ended()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('closed: revoked'),
    });
  });
});

describe('with a ticket', () => {
  const aTicket = async () => (await ticketFor('carol')).ticket;
  const said = (ran: { stdout: string }) =>
    ran.stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text));

  test('what is piped in is sent as it is, what comes is printed so, and it ends a moment later', async () => {
    const ran = await runCommand(['connect', await aTicket(), ...at()], { stdin: `${line}\n` });
    expect(ran).toMatchObject({ code: 0, stderr: 'closed: 1000\n' });
    expect(said(ran)).toEqual([
      expect.objectContaining({ type: 'welcome', sub: 'carol' }),
      expect.objectContaining({ type: 'test', user: 'carol', payload: { message: 'Hello' } }),
    ]);
  });

  test('it listens for as long as --wait says, also where nothing is piped in', async () => {
    const bob = await other('bob');
    const client = startCommand(['connect', await aTicket(), '--wait', '3', ...at()]);
    client.process.stdin.end();
    await shown(client, '"welcome"');
    bob.say({ type: 'message', payload: { text: 'still there?' } });
    await shown(client, 'still there?');
    expect(await client.ended()).toMatchObject({ code: 0 });
    bob.socket.close();
  });

  test('and so where the ticket itself is what is piped in', async () => {
    const ran = await runCommand(['connect', '--wait', '0.2', ...at()], { stdin: await aTicket() });
    expect(ran).toMatchObject({ code: 0, stderr: 'closed: 1000\n' });
    expect(said(ran)).toEqual([expect.objectContaining({ type: 'welcome', sub: 'carol' })]);
  });

  test.each(['http', 'close'])('one that is spent is refused, and so is the command (%s)', async (reject) => {
    await using strict = await startBroker({ WS_REJECT: reject });
    const { ticket } = await strict.mint();
    const command = ['connect', ticket, '--url', strict.url];
    expect((await runCommand(command, { stdin: line })).code).toBe(0);
    const refused = await runCommand(command, { stdin: line });
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('invalid_ticket') });
  });

  test('what others say, close and refuse with makes the terminal do nothing', async () => {
    const client = startCommand(['connect', await aTicket(), ...at()]);
    await shown(client, '"welcome"');
    const bob = await other('bob');
    bob.say({ type: 'message', payload: { text: 'red \u009b31m\u202e' } });
    await shown(client, '"red \\u009b31m\\u202e"');
    bob.socket.close();
    client.process.stdin.end(line);
    expect((await client.ended()).code).toBe(0);

    // Not a broker, and up to no good.
    await using strange = await startServer((socket) => {
      socket.send('plain \u001b[2J\u009b2J');
      socket.close(4000, 'why \u001b]0;\u202e');
    });
    const plain = await runCommand(['connect', 'wst_x', '--url', strange.url]);
    expect(plain).toMatchObject({
      stdout: 'plain \ufffd[2J\ufffd2J\n',
      stderr: 'ticket-broker: closed: 4000 why \ufffd]0;\ufffd\n',
    });
    const json = await runCommand(['connect', 'wst_x', '--json', '--url', strange.url]);
    expect(said(json)).toEqual(['plain \u001b[2J\u009b2J']);
    expect(json.stdout).toBe('"plain \\u001b[2J\\u009b2J"\n');
    const body = { error: 'no\u009b2J', error_description: 'Not \u202eyou' };
    await using refusing = await startServer(body);
    const refused = await runCommand(['connect', 'wst_x', '--url', refusing.url]);
    expect(refused).toMatchObject({
      code: 1,
      stderr: 'ticket-broker: refused: 401 no\ufffd2J: Not \ufffdyou\n',
    });
    const login = await runCommand(['token', 'alice', '--url', refusing.url], { stdin: password });
    expect(login).toMatchObject({ code: 1, stderr: 'ticket-broker: 401 no\ufffd2J: Not \ufffdyou\n' });
  });
});

describe('at a server that is not as it was thought', () => {
  const welcome = (socket: WebSocket, { url = '' }: IncomingMessage) => {
    socket.send(
      `"at ${url.split('?')[0]} by ${socket.protocol || 'nothing'}, ${url.includes('ticket=wst_x')}"`,
    );
    socket.close(1000);
  };

  /** As another login: the one before has been revoked. */
  let env: NodeJS.ProcessEnv;
  beforeAll(async () => {
    const login = await runCommand(['token', 'alice', ...at()], { stdin: password });
    env = { TICKET_BROKER_TOKEN: login.stdout.trim() };
  });

  test('that selects no subprotocol, connect says so, and does without one', async () => {
    await using server = await startServer(welcome, false);
    const ran = await runCommand(['connect', 'wst_x', '--url', server.url]);
    expect(ran).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('--no-protocol') });
    expect(ran.stderr).toContain('selected no subprotocol that was offered');
    const without = await runCommand(['connect', 'wst_x', '--no-protocol', '--url', server.url]);
    expect(without).toMatchObject({ code: 0, stdout: '"at /ws by nothing, true"\n' });
  });

  test('that selects another one, connect offers that', async () => {
    await using server = await startServer(welcome, 'chat.v2');
    const ran = await runCommand(['connect', 'wst_x', '--url', server.url]);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('--protocol') });
    const other = await runCommand(['connect', 'wst_x', '--protocol', 'chat.v2', '--url', server.url]);
    expect(other).toMatchObject({ code: 0, stdout: '"at /ws by chat.v2, false"\n' });
  });

  test('both are for the chat client, too', async () => {
    for (const option of [['--no-protocol'], ['--protocol', 'chat.v2']]) {
      const args = ['connect', '--room', aRoom(), ...option, ...at()];
      const ran = await runCommand(args, { stdin: 'hi\n', env });
      expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('] alice: hi\n') });
    }
  });

  test('the chat client says what keeps it from connecting: nobody there, or another path', async () => {
    const saysAfter = async (why: string, ...args: string[]) => {
      const client = startCommand(['connect', ...args], { env });
      await until(() => client.stderr().includes(`not connected (${why}): trying again`), why);
      client.process.kill();
      expect((await client.ended()).stderr).not.toMatch(/eyJ|wst_/);
    };
    const closed = `http://127.0.0.1:${await freePort()}`;
    await saysAfter('no ticket: network: ECONNREFUSED', '--url', closed);
    await saysAfter('connection failed: 404 at /wsx', '--path', '/wsx', '--no-protocol', ...at());
    const once = await runCommand(['connect', 'wst_x', '--url', closed]);
    expect(once).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(--url) cannot be reached: ECONNREFUSED\n'),
    });
  });
});

test('--version is that of the package, and of the line that says that a broker listens', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  expect(await runCommand(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  expect(broker.output()).toMatch(new RegExp(`"version":"${version}".*"msg":"listening"`));
});

test('at a terminal, what is typed is said in the lobby, and Ctrl-D ends it', async () => {
  const client = startCommand(['connect', '--login', 'alice', ...at()], { terminal: true });
  await shown(client, 'Password of alice: ');
  client.process.stdin.write(`${password}\r`);
  await shown(client, '-- joined lobby: alice');
  client.process.stdin.write('hello there\r');
  await shown(client, '] alice: hello there\r\n');
  client.process.stdin.write('\u0004');
  const { code, stdout } = await client.ended();
  expect(code).toBe(0);
  expect(stdout).not.toContain(password);
  expect(stdout).not.toContain('wst_');
});

test.each([
  [['wst_x', '--token', 'y'], 2, 'a ticket opens one socket'],
  [['--login', 'alice', '--token', 'y'], 2, '--login'],
  [['--wait', 'long', '--token', 'y'], 2, '--wait'],
  [['--protocol', 'a b', '--token', 'y'], 2, '--protocol'],
  [['--path', '//127.0.0.2:1/ws', '--token', 'y'], 2, '--path'],
  [['--path', '/\\127.0.0.2:1/ws', '--token', 'y'], 2, '--path'],
  [['--path', 'http://127.0.0.2:1/ws', '--token', 'y'], 2, '--path'],
  [['--token', 'not.a.token'], 1, 'closed: unauthorized (no ticket: 401 invalid_token)'],
  [['--token', 'two words'], 1, 'the token holds characters that none has'],
  [['--token', ''], 1, 'the token is empty (--token or TICKET_BROKER_TOKEN)'],
  [[''], 1, 'the ticket is empty'],
  [['not a ticket'], 1, 'the ticket holds characters that none has'],
])('with %j exits with %i and says why', async (args, code, text) => {
  const ran = await runCommand(['connect', ...args, ...at()]);
  expect(ran).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(text) });
});

test('who is refused while lines are piped in is told at once', async () => {
  const ran = await runCommand(['connect', '--token', 'not.a.token', ...at()], { stdin: 'hello\nagain\n' });
  expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('closed: unauthorized') });
});

test('help has examples', async () => {
  for (const command of ['connect', 'ticket', 'token', 'users', 'serve']) {
    expect((await runCommand([command, '--help'])).stdout).toContain('Examples:\n  ');
  }
});
