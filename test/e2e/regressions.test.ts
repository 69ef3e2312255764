import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { hashPassword } from '../../src/credentials/passwords.ts';
import { type BrokerProcess, password, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, dial, handshake, type RawAnswer } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { clientOf } from '../support/redis-topologies.ts';

const target = (ticket: string) => `/ws?ticket=${ticket}`;
const refusalOf = (error: string) => ({ error, error_description: expect.any(String) });
const unlimited = { ATTEMPT_LIMIT: '0', MINT_LIMIT: '0', LOGIN_LIMIT: '0' };

/** How many sockets a process holds. */
async function socketsOf({ pid }: BrokerProcess): Promise<number> {
  const files = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')));
  return links.filter((link) => link.startsWith('socket:')).length;
}

async function residentMiB({ pid }: BrokerProcess): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** A peer that does nothing by itself: it neither answers a close frame nor ends when we do. */
async function dialStubborn(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Resolves when a socket has closed, for whatever reason. */
const gone = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

/** Reads until the text holds all of these, one after the other. */
async function readUntil(socket: Socket, ...parts: string[]): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  const holds = () => {
    let from = 0;
    return parts.every((part) => {
      from = text.indexOf(part, from) + part.length;
      return from >= part.length;
    });
  };
  await until(holds, `a peer has read ${parts.join(', then ')}`).catch((error: Error) => {
    throw new Error(`${error.message}; it has read ${JSON.stringify(text)}`);
  });
  return text;
}

/** Opens a socket that is welcomed. */
async function open({ url }: BrokerProcess, ticket: string) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${target(ticket)}`);
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(([code]) => code as number);
  const [data] = await once(socket, 'message', { signal: AbortSignal.timeout(20_000) });
  expect(JSON.parse(String(data))).toMatchObject({ type: 'welcome' });
  return { socket, closed };
}

const opens = async (broker: BrokerProcess, ticket: string) => {
  const { socket, closed } = await open(broker, ticket);
  socket.close();
  await closed;
};

describe('a broker of its own process', () => {
  let broker: BrokerProcess;
  let sockets: number;
  beforeAll(async () => {
    broker = await startBroker({ ...unlimited, HANDSHAKE_TIMEOUT: '1', MESSAGE_LIMIT: '0', CHAT: 'off' });
    await broker.token();
    // With the one that this process keeps for its own calls.
    sockets = await socketsOf(broker);
  });
  afterAll(() => broker?.stop());

  const nothingLeft = () =>
    until(async () => (await socketsOf(broker)) <= sockets, 'the broker holds no more sockets than before');

  test('a peer that makes it talk and never reads is dropped, instead of growing the process without bound', async () => {
    const { ticket } = await broker.mint();
    const before = await residentMiB(broker);
    const socket = await dial(broker.port);
    socket.on('error', () => {});
    const closed = gone(socket);
    socket.write(handshake({ target: target(ticket) }));
    await readUntil(socket, '101 Switching Protocols', 'welcome');
    socket.removeAllListeners('data').pause();

    const message = Buffer.from('{"type":"a"}');
    // Masked, as a client has to, with zeros.
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), message]);
    const many = Buffer.concat(Array.from({ length: 5000 }, () => frame));
    let peak = before;
    const deadline = Date.now() + 40_000;
    while (!socket.destroyed && Date.now() < deadline) {
      if (socket.writableLength < many.length) socket.write(many);
      await sleep(10);
      peak = Math.max(peak, await residentMiB(broker));
    }
    expect(socket.destroyed).toBe(true);
    await closed;
    expect(peak).toBeLessThan(before + 150);
    await until(() => broker.output().includes('socket closed'), 'the log says that it has closed');
    await nothingLeft();
  });

  test.each([
    ['says nothing', ''],
    ['stops in the middle of its request', 'GET /ws HTTP/1.1\r\nHost:'],
    ['sends what is no HTTP', 'hello, is this a chat?\r\n\r\n'],
  ])('a peer that %s and ignores our end does not keep its descriptor for ever', async (_what, text) => {
    const peers = await Promise.all(Array.from({ length: 20 }, () => dialStubborn(broker.port)));
    for (const peer of peers) peer.resume().write(text);
    await nothingLeft();
    for (const peer of peers) peer.destroy();
  });

  test.each([
    ['a good ticket', (ticket: string) => ticket],
    ['no ticket', () => ''],
  ])(
    'a handshake with %s in one packet behind another request does not orphan the socket',
    async (_with, of) => {
      const { ticket } = await broker.mint();
      const socket = await dial(broker.port);
      socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${handshake({ target: target(of(ticket)) })}`);
      const text = await readUntil(socket, 'HTTP/1.1 200 OK', '{"status":"ok"}', 'HTTP/1.1 426 ', '}');
      expect(text).toContain('"error":"upgrade_required"');
      socket.destroy();
      await opens(broker, ticket);
      await nothingLeft();
    },
  );

  test('a handshake between two answers does not put the second one into the WebSocket', async () => {
    const { ticket } = await broker.mint();
    const socket = await dial(broker.port);
    const body = JSON.stringify({ username: 'alice', password });
    const login = `POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${login}`);
    await readUntil(socket, '{"status":"ok"}');
    socket.write(body + handshake({ target: target(ticket) }));
    await readUntil(socket, 'HTTP/1.1 200 OK', 'HTTP/1.1 426 ');
    socket.destroy();
    await opens(broker, ticket);
    await nothingLeft();
  });

  test('a request in one packet before a handshake does not keep the process from stopping', async () => {
    const own = await startBroker({ DRAIN_TIMEOUT: '3' });
    const { ticket } = await own.mint();
    const socket = await dialStubborn(own.port);
    socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${handshake({ target: target(ticket) })}`);
    await readUntil(socket, 'HTTP/1.1 200 OK', 'HTTP/1.1 426 ');
    expect(await own.stop()).toBe(0);
    socket.destroy();
  });

  test.each([
    ['that is none', 'HTTP/1.1', 'Host: [\r\n'],
    ['with a path', 'HTTP/1.1', 'Host: chat.example/evil\r\n'],
    ['that is missing', 'HTTP/1.1', ''],
    ['that is missing, in HTTP/1.0', 'HTTP/1.0', ''],
  ])('a mint for a Host %s is refused with 400, and nothing is minted', async (_what, version, host) => {
    const minted = () =>
      broker.decisions().filter(({ decision, granted }) => decision === 'mint' && granted === true);
    const mintOne = async () => {
      const { ticket_id } = await broker.mint();
      await until(() => minted().some((line) => line['ticket_id'] === ticket_id), 'the mint is logged');
      return minted().length;
    };
    const before = await mintOne();
    const token = await broker.token();
    const request = `POST /tickets ${version}\r\n${host}Authorization: Bearer ${token}\r\nContent-Length: 0\r\n\r\n`;
    const socket = await dial(broker.port);
    socket.write(request);
    expect(await readUntil(socket, '\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    socket.destroy();
    // The log is in order: what the refused one had minted would stand before this one.
    expect(await mintOne()).toBe(before + 1);
    expect(broker.output()).not.toContain('unexpected error');
  });

  test('a handshake in HTTP/1.0 is not upgraded, and its ticket stays good', async () => {
    const { ticket } = await broker.mint();
    const old = handshake({ target: target(ticket) }).replace('HTTP/1.1', 'HTTP/1.0');
    expect(await ask(broker.port, old)).toMatchObject({ status: 426, body: refusalOf('upgrade_required') });
    await opens(broker, ticket);
  });

  test.each(['http://127.0.0.1/path', 'http://127.0.0.1/', 'http://user@127.0.0.1', 'http://127.0.0.1?'])(
    'an Origin of this host with more to it is refused: %s',
    async (origin) => {
      const { ticket } = await broker.mint();
      const from = (Origin: string) => handshake({ target: target(ticket), headers: { Origin } });
      expect(await ask(broker.port, from(origin))).toMatchObject({
        status: 403,
        body: refusalOf('origin_forbidden'),
      });
      expect(await ask(broker.port, from('http://127.0.0.1'))).toMatchObject({ status: 101 });
    },
  );
});

describe('SIGTERM while clients keep coming back with fresh tickets', () => {
  const drainTimeout = 5;

  test('does not hang until it is killed, and every client is told', async () => {
    const broker = await startBroker({
      ...sharedStore(inject('redisUrl')),
      ...unlimited,
      DRAIN_TIMEOUT: `${drainTimeout}`,
    });
    const token = await broker.token();
    const outcomes: string[] = [];
    const answers: RawAnswer[] = [];
    let ended = false;

    const visit = async (ticket: string): Promise<string> => {
      const socket = new WebSocket(`${broker.url.replace('http', 'ws')}${target(ticket)}`);
      return new Promise((resolve) => {
        socket.on('unexpected-response', (_request, response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () => {
            const headers = { 'retry-after': String(response.headers['retry-after'] ?? '') };
            answers.push({ status: response.statusCode ?? 0, headers, text, body: JSON.parse(text) });
            resolve('answered');
          });
        });
        socket.on('message', () => setTimeout(() => socket.close(1000), Math.random() * 400));
        socket.on('close', (code) => resolve(`closed ${code}`));
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      });
    };
    const mint = `POST /tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\nContent-Length: 0\r\n\r\n`;
    const comeBack = async () => {
      while (!ended) {
        try {
          const minted = await ask(broker.port, mint);
          if (minted.status === 201) {
            outcomes.push(await visit((minted.body as unknown as { ticket: string }).ticket));
          } else answers.push(minted);
        } catch (error) {
          const { code, message } = error as NodeJS.ErrnoException;
          outcomes.push(code ?? message);
          await sleep(20);
        }
      }
    };
    const clients = Array.from({ length: 40 }, comeBack);
    await until(() => outcomes.length > 100, 'clients come and go');
    expect(new Set(outcomes)).toEqual(new Set(['closed 1000']));

    const start = performance.now();
    const code = await broker.stop();
    const took = performance.now() - start;
    ended = true;
    await Promise.all(clients);
    expect(code).toBe(0);
    // Two for a busy machine; the grace kill comes three later and ends with 1.
    expect(took).toBeLessThan((drainTimeout + 4) * 1000);

    const counted = Object.fromEntries(
      [...Map.groupBy(outcomes, (outcome) => outcome)].map(([outcome, all]) => [outcome, all.length]),
    );
    // A reset: the kernel had taken the connection, and nobody was left to accept it.
    // What was answered is looked at below.
    const {
      'closed 1000': left,
      'closed 1012': told,
      answered,
      ECONNREFUSED,
      ECONNRESET,
      ...others
    } = counted;
    expect(others).toEqual({});
    expect(told).toBeGreaterThan(0);
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 503, body: refusalOf('overloaded') });
      expect(Object.keys(answer.body ?? {}).toSorted()).toEqual(['error', 'error_description']);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(broker.output()).not.toContain('unexpected error');
  });
});

describe('a start that fails', () => {
  let folder: string;
  const taken = createServer();
  let port: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ticket-broker-'));
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    port = String((taken.address() as { port: number }).port);
  });
  afterAll(async () => {
    taken.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** What is printed, besides the log, by a start that ends by itself and not well. */
  async function complaints(env: NodeJS.ProcessEnv): Promise<string[]> {
    const failure = await startBroker(env).then(
      async (broker) => {
        await broker.stop();
        return expect.fail('it started');
      },
      (error: Error) => error.message,
    );
    const [first, ...lines] = failure.split('\n');
    expect(first).toBe('the broker ended with 1:');
    return lines.filter((line) => line !== '' && !line.startsWith('{'));
  }

  test.each([
    [
      'the port in use, on Redis',
      () => ({ ...sharedStore(inject('redisUrl')), PORT: port }),
      ': PORT: listen EADDRINUSE',
    ],
    ['the port in use, with metrics', () => ({ METRICS_PORT: '0', PORT: port }), ': PORT: listen EADDRINUSE'],
    [
      'the port of metrics in use, on Redis',
      () => ({ ...sharedStore(inject('redisUrl')), METRICS_PORT: port }),
      ': METRICS_PORT: listen EADDRINUSE',
    ],
    [
      'a HOST that does not resolve',
      () => ({ ...sharedStore(inject('redisUrl')), HOST: 'nowhere.invalid' }),
      ': HOST: getaddrinfo ENOTFOUND nowhere.invalid',
    ],
    [
      'a HOST that is not ours',
      () => ({ ...sharedStore(inject('redisUrl')), HOST: '192.0.2.1' }),
      ': HOST: listen EADDRNOTAVAIL',
    ],
  ])('after the store was opened ends, with one line: %s', async (_why, env, named) => {
    const [line, ...more] = await complaints(env());
    expect(line).toMatch(/^ticket-broker: /);
    expect(line).toContain(named);
    expect(more).toEqual([]);
  });

  const salt = 'c2FsdHNhbHRzYWx0c2E';
  const hash = 'aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g';
  const weak: [what: string, hash: string][] = [
    ['no lanes', `$argon2id$v=19$m=19456,t=2,p=0$${salt}$${hash}`],
    ['100 GiB of memory', `$argon2id$v=19$m=99999999,t=2,p=1$${salt}$${hash}`],
    ['a short salt', `$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$${hash}`],
    ['a short hash', `$argon2id$v=19$m=19456,t=2,p=1$${salt}$aGFzaA`],
    ['a bcrypt that takes for ever', `$2b$31$${'a'.repeat(53)}`],
  ];
  const usersFile = async (...hashes: string[]) => {
    const path = join(folder, 'users');
    const lines = hashes.map((each, index) => `user${index}:${each}\n`);
    await writeFile(path, `alice:${await hashPassword(password)}\n${lines.join('')}`);
    return path;
  };

  test.each(weak)('on a user with %s names the line', async (_what, weakHash) => {
    const lines = await complaints({ USERS_FILE: await usersFile(weakHash) });
    expect(lines).toEqual([expect.stringMatching(/^ticket-broker: USERS_FILE: line 2 has /)]);
    expect(lines.join()).not.toContain(weakHash);
  });

  test('on USERS_FILE and on SERVICE_KEYS_FILE tells both, and every line', async () => {
    const keysFile = join(folder, 'keys');
    await writeFile(keysFile, 'backend:abc:revoke\n');
    const lines = await complaints({
      USERS_FILE: await usersFile(...weak.map(([, each]) => each)),
      SERVICE_KEYS_FILE: keysFile,
    });
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      /USERS_FILE: line 2 has .*; line 3 has .*; line 4 has .*; line 5 has .*; line 6 has /,
    );
    expect(lines[1]).toMatch(/^SERVICE_KEYS_FILE: line 1 has no SHA-256/);
  });

  test('on secrets and credentials that are not there tells all, and which name is misspelt', async () => {
    const lines = await complaints({
      ...sharedStore(inject('redisUrl')),
      JWT_SECRET: '',
      JWT_SECRET_FILE: '/nowhere/secret',
      USERS_FILE: '/nowhere/users',
      ALOWED_ORIGINS: 'https://app.example',
    });
    expect(lines).toEqual([
      'ticket-broker: JWT_SECRET_FILE cannot be read (ENOENT)',
      'USERS_FILE cannot be read (ENOENT)',
      'ALOWED_ORIGINS is not read: is ALLOWED_ORIGINS meant?',
    ]);
  });

  test('that succeeds warns of a variable whose name is nearly one of ours, without its value', async () => {
    await using broker = await startBroker({ MAX_SESSION_PER_SUB: '7654321' });
    const warning = /"level":"warn".*"MAX_SESSION_PER_SUB is not read: is MAX_SESSIONS_PER_SUB meant\?"/;
    expect(broker.output()).toMatch(warning);
    expect(broker.output()).not.toContain('7654321');
    await using other = await startBroker();
    expect(other.output()).not.toContain('is not read');
  });
});

describe('WS_REJECT=close', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({ ...unlimited, WS_REJECT: 'close', MAX_CONNECTIONS: '5' });
    await broker.token();
  });
  afterAll(() => broker?.stop());

  test('refused peers that ignore the close frame hold no slot, and are soon gone', async () => {
    const { ticket } = await broker.mint();
    const before = await socketsOf(broker);
    const peers = await Promise.all(Array.from({ length: 25 }, () => dialStubborn(broker.port)));
    await Promise.all(
      peers.map(async (peer) => {
        peer.write(handshake({ target: target('wrong') }));
        await readUntil(peer, '101 Switching Protocols', 'invalid_ticket');
      }),
    );
    await opens(broker, ticket);
    await until(async () => (await socketsOf(broker)) <= before, 'they are gone', 10);
    for (const peer of peers) peer.destroy();
  });

  test.each([
    ['no key', 400, 'invalid_request', { 'Sec-WebSocket-Key': undefined }],
    ['a bad key', 400, 'invalid_request', { 'Sec-WebSocket-Key': 'short' }],
    ['a protocol that is no token', 400, 'invalid_request', { 'Sec-WebSocket-Protocol': 'chat room' }],
    ['version 12', 426, 'upgrade_required', { 'Sec-WebSocket-Version': '12' }],
  ])(
    'a handshake that cannot be upgraded is answered in our JSON: %s',
    async (_what, status, error, headers) => {
      const { ticket } = await broker.mint();
      const answer = await ask(broker.port, handshake({ target: target(ticket), headers }));
      expect(answer).toMatchObject({ status, body: refusalOf(error) });
      expect(answer.headers['content-type']).toMatch(/^application\/json/);
      await opens(broker, ticket);
    },
  );
});

describe.each(['prefix', 'exact', 'log'])('BIND_IP=%s', (mode) => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({ ...unlimited, BIND_IP: mode });
  });
  afterAll(() => broker?.stop());

  test('a client that resets right after its handshake is no unexpected error', async () => {
    const tickets = await Promise.all(
      Array.from({ length: 30 }, () => broker.mint({ bind: { ip: '127.0.0.1' } })),
    );
    const decided = () => broker.decisions().filter(({ decision }) => decision === 'redeem').length;
    // It wakes up to connections that are reset already, whose address nobody knows any more.
    process.kill(broker.pid, 'SIGSTOP');
    try {
      await Promise.all(
        tickets.map(async ({ ticket }) => {
          const socket = await dial(broker.port);
          socket.on('error', () => {});
          await new Promise((sent) => socket.write(handshake({ target: target(ticket) }), sent));
          const closed = gone(socket);
          socket.resetAndDestroy();
          await closed;
        }),
      );
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
    const { ticket } = await broker.mint({ bind: { ip: '127.0.0.1' } });
    await opens(broker, ticket);
    await sleep(500);
    await expect.poll(decided).toBeGreaterThan(0);
    expect(broker.output()).not.toContain('unexpected error');
    expect(broker.output()).not.toMatch(/"level":"(error|fatal)"/);
  });

  test(`a ticket from elsewhere is ${mode === 'log' ? 'let in, and reported' : 'refused'}`, async () => {
    const { ticket, ticket_id } = await broker.mint({ bind: { ip: '192.0.2.1' } });
    const answer = await ask(broker.port, handshake({ target: target(ticket) }));
    const found = () =>
      broker.decisions().find((made) => made['decision'] === 'redeem' && made['ticket_id'] === ticket_id);
    await until(() => found() !== undefined, 'the decision is logged');
    const line = found();
    if (mode === 'log') {
      expect(answer).toMatchObject({ status: 101 });
      expect(line).toMatchObject({ granted: true, ip: '127.0.0.1', bound_to: '192.0.2.1' });
    } else {
      expect(answer).toMatchObject({ status: 403, body: refusalOf('binding_mismatch') });
      expect(line).not.toHaveProperty('bound_to');
    }
  });
});

describe('behind a proxy and for pages of other origins', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({
      TRUST_PROXY: '127.0.0.1/32',
      ATTEMPT_LIMIT: '3',
      ALLOWED_ORIGINS: 'https://app.example',
    });
  });
  afterAll(() => broker?.stop());

  test.each([
    ['IPv4', '203.0.113.9', '203.0.113.10', (address: string, port: number) => `${address}:${port}`],
    ['IPv6', '2001:db8:1::9', '2001:db8:2::9', (address: string, port: number) => `[${address}]:${port}`],
  ])(
    'a forwarded address with a port is counted without it: %s',
    async (_family, address, other, withPort) => {
      const knock = (forwarded: string) =>
        ask(
          broker.port,
          handshake({
            target: target(`wst_${'A'.repeat(43)}`),
            headers: { 'X-Forwarded-For': forwarded },
          }),
        );
      const statuses: number[] = [];
      for (let port = 1001; port <= 1005; port++)
        statuses.push((await knock(withPort(address, port))).status);
      expect(statuses).toEqual([401, 401, 401, 429, 429]);
      expect(await knock(withPort(other, 1001))).toMatchObject({ status: 401 });
      const counted = () =>
        broker.decisions().filter(({ decision, ip }) => decision === 'redeem' && ip === address);
      await expect.poll(counted).toHaveLength(5);
    },
  );

  test('a preflight that names no method is not answered in plain text', async () => {
    const response = await fetch(`${broker.url}/tickets`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example' },
    });
    await response.text();
    expect(response.headers.get('content-type') ?? '').not.toContain('text/plain');
    expect(response.status).toBeLessThan(500);
  });
});

test('Redis that takes no writes is not called ready', async () => {
  const redis = await startRedisServer();
  const broker = await startBroker(sharedStore(redis.url));
  const client = clientOf(redis);
  try {
    const readyz = async () => {
      const response = await fetch(`${broker.url}/readyz`);
      return { status: response.status, body: await response.json() };
    };
    await until(async () => (await readyz()).status === 200, 'the broker is ready');
    await client.call('CONFIG', 'SET', 'min-replicas-to-write', '1');
    const error_description = 'Redis refuses our commands (NOREPLICAS).';
    // The feed may notice first, and say so in its own words.
    await expect
      .poll(readyz)
      .toEqual({ status: 503, body: { error: 'store_unavailable', error_description } });
    await client.call('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await until(async () => (await readyz()).status === 200, 'the broker is ready again');
  } finally {
    client.disconnect();
    await broker.stop();
    await redis.dispose();
  }
});

describe('refresh tokens', () => {
  const key = 'the-key-of-a-backend-that-may-revoke';
  const form = /^wsr_[\w-]{22}\.[1-9]\d*\.[\w-]{43}$/;
  const people = ['alice', 'bob', 'carol', 'dave'];
  /** All that were ever handed out. */
  const seen = new Set<string>();
  let redis: RedisServer;
  let broker: BrokerProcess;
  let folder: string;

  const usersFile = () => join(folder, 'users');
  const writeUsers = async (names: readonly string[]) => {
    const hash = await hashPassword(password);
    // In one go: whoever is not in a file that is still being written would be removed.
    await writeFile(`${usersFile()}.new`, names.map((name) => `${name}:${hash}\n`).join(''));
    await rename(`${usersFile()}.new`, usersFile());
  };
  beforeAll(async () => {
    redis = await startRedisServer();
    folder = await mkdtemp(join(tmpdir(), 'ticket-broker-'));
    await writeUsers(people);
    const keysFile = join(folder, 'keys');
    await writeFile(keysFile, `backend:${createHash('sha256').update(key).digest('hex')}:revoke\n`);
    broker = await startBroker({
      ...sharedStore(redis.url),
      ...unlimited,
      USERS_FILE: usersFile(),
      SERVICE_KEYS_FILE: keysFile,
    });
    await until(async () => (await fetch(`${broker.url}/readyz`)).ok, 'the broker is ready');
  });
  afterAll(async () => {
    await broker?.stop();
    await redis?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  interface Pair {
    token: string;
    refresh: string;
  }
  const pairOf = (token: string, refresh: string): Pair => {
    expect(refresh).toMatch(form);
    seen.add(refresh);
    return { token, refresh };
  };
  const logIn = async (username: string): Promise<Pair> => {
    const response = await fetch(`${broker.url}/api/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });
    expect(response.status).toBe(200);
    const { token, refresh_token } = (await response.json()) as Record<string, string>;
    return pairOf(String(token), String(refresh_token));
  };
  const grant = async (refresh_token: string) => {
    const response = await fetch(`${broker.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  };
  const refreshed = async (refresh_token: string): Promise<Pair> => {
    const { status, body } = await grant(refresh_token);
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: 'bearer', expires_in: expect.any(Number) });
    return pairOf(String(body['access_token']), String(body['refresh_token']));
  };
  const claims = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
  const mint = async (token: string) => {
    const response = await fetch(`${broker.url}/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  };
  const openAs = async (token: string) => open(broker, String((await mint(token)).body['ticket']));
  const denied = (error: string) => ({ status: 401, body: refusalOf(error) });

  test('buy a new pair of the same login, and the same pair again for a lost reply', async () => {
    const first = await logIn('dave');
    const second = await refreshed(first.refresh);
    expect(second.refresh).not.toBe(first.refresh);
    expect((await refreshed(first.refresh)).refresh).toBe(second.refresh);
    const third = await refreshed(second.refresh);
    for (const { token } of [second, third]) {
      expect(claims(token)).toMatchObject({ sub: 'dave', auth_time: claims(first.token)['auth_time'] });
      expect(await mint(token)).toMatchObject({ status: 201 });
    }
  });

  test.each([
    ['garbage', () => 'garbage'],
    ['nothing but the prefix', () => 'wsr_'],
    ['a ticket', () => `wst_${'A'.repeat(43)}`],
    ['an access token', ({ token }: Pair) => token.slice(0, 256)],
    ['a forged proof', ({ refresh }: Pair) => refresh.slice(0, -43) + 'A'.repeat(43)],
    ['the proof of another generation', ({ refresh }: Pair) => refresh.replace('.1.', '.2.')],
    ['the proof of another family', ({ refresh }: Pair) => `wsr_${'A'.repeat(22)}${refresh.slice(26)}`],
    ['a leading zero', ({ refresh }: Pair) => refresh.replace('.1.', '.01.')],
  ])('that are none are refused, and spend nothing: %s', async (_what, of) => {
    const pair = await logIn('dave');
    expect(await grant(of(pair))).toMatchObject(denied('invalid_grant'));
    await refreshed(pair.refresh);
  });

  test('that were spent before the latest end all that their login led to', async () => {
    const first = await logIn('dave');
    const second = await refreshed(first.refresh);
    const third = await refreshed(second.refresh);
    const { closed } = await openAs(third.token);
    expect(await grant(first.refresh)).toMatchObject(denied('invalid_grant'));
    expect(await closed).toBe(3003);
    for (const { refresh } of [second, third]) expect(await grant(refresh)).toMatchObject({ status: 401 });
  });

  test('that come back 11 s after they were spent end all that their login led to, and nothing since', async () => {
    const first = await logIn('alice');
    const second = await refreshed(first.refresh);
    const again = await refreshed(first.refresh);
    const before = [await openAs(first.token), await openAs(again.token)];
    await sleep(11_000);
    const since = await logIn('alice');
    const kept = await openAs(since.token);

    expect(await grant(first.refresh)).toMatchObject(denied('invalid_grant'));
    expect(await Promise.all(before.map(({ closed }) => closed))).toEqual([3003, 3003]);
    for (const { refresh } of [second, again]) expect(await grant(refresh)).toMatchObject({ status: 401 });
    for (const { token } of [first, second, again]) {
      expect(await mint(token)).toMatchObject(denied('token_revoked'));
    }
    expect(await mint(since.token)).toMatchObject({ status: 201 });
    await refreshed(since.refresh);
    expect(await mint((await logIn('alice')).token)).toMatchObject({ status: 201 });
    expect(kept.socket.readyState).toBe(WebSocket.OPEN);
    kept.socket.close();
  });

  test('die with a revocation of their subject', async () => {
    const pair = await logIn('carol');
    const { closed } = await openAs(pair.token);
    const response = await fetch(`${broker.url}/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ sub: 'carol' }),
    });
    expect(response.status).toBe(200);
    expect(await closed).toBe(3003);
    expect(await mint(pair.token)).toMatchObject(denied('token_revoked'));
    expect(await grant(pair.refresh)).toMatchObject(denied('token_revoked'));
    await refreshed((await logIn('carol')).refresh);
  });

  test('and sockets and tokens of a user do not outlive the line in USERS_FILE', async () => {
    const pair = await logIn('bob');
    const other = await openAs((await logIn('dave')).token);
    const { closed } = await openAs(pair.token);
    await writeUsers(people.filter((name) => name !== 'bob'));
    expect(await closed).toBe(3003);
    expect(await mint(pair.token)).toMatchObject(denied('token_revoked'));
    expect(await grant(pair.refresh)).toMatchObject({ status: 401 });
    expect(other.socket.readyState).toBe(WebSocket.OPEN);
    other.socket.close();
  });

  test('are neither in the log nor in Redis', async () => {
    const client = clientOf(redis);
    const contents: string[] = [];
    for await (const keys of client.scanStream()) {
      for (const name of keys as string[]) {
        contents.push(name, JSON.stringify(await contentOf(client, name)));
      }
    }
    client.disconnect();
    expect(contents.length).toBeGreaterThan(0);
    expect(seen.size).toBeGreaterThan(10);
    const proofs = [...seen].map((token) => token.split('.')[2] ?? '');
    for (const text of [contents.join('\n'), broker.output()]) {
      expect(text).not.toContain('wsr_');
      expect(proofs.filter((proof) => text.includes(proof))).toEqual([]);
    }
  });

  async function contentOf(client: ReturnType<typeof clientOf>, name: string): Promise<unknown> {
    const type = await client.type(name);
    switch (type) {
      case 'string':
        return client.get(name);
      case 'hash':
        return client.hgetall(name);
      case 'zset':
        return client.zrange(name, '0', '-1');
      case 'stream':
        return client.xrange(name, '-', '+');
      case 'none':
        return null;
      default:
        throw new Error(`a key of type ${type}`);
    }
  }
});
