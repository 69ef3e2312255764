import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, password, repository, startBroker } from '../support/broker-process.ts';
import { ask, dial, exchange, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { command, until as reached } from '../support/redis-topologies.ts';

const target = (ticket: string) => `/ws?ticket=${ticket}`;
const residentMiB = ({ pid }: BrokerProcess) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
const openFiles = ({ pid }: BrokerProcess) => readdirSync(`/proc/${pid}/fd`).length;

/** A masked text frame of up to 125 bytes, as a client has to send it; the mask is zero. */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

interface Tokens {
  access_token: string;
  refresh_token: string;
}

/** Runs `serve` until it ends by itself. */
async function failingStart(env: NodeJS.ProcessEnv): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, ['src/main.ts', 'serve'], {
    cwd: repository,
    env: { PATH: process.env['PATH'], ...env },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const [code] = await once(child, 'exit');
  clearTimeout(late);
  return { code, stderr };
}

describe('a peer', () => {
  test('that makes us answer and does not read is dropped, and not remembered byte by byte', async () => {
    await using broker = await startBroker({ LOG_LEVEL: 'info' });
    const { ticket } = await broker.mint();
    const socket = await dial(broker.port);
    await exchange(socket, handshake({ target: target(ticket) }));
    socket.pause();
    socket.on('error', () => {});
    let dropped = false;
    socket.on('close', () => {
      dropped = true;
    });
    const before = residentMiB(broker);
    const burst = Buffer.concat(Array.from({ length: 5000 }, () => frame('{"type":"x"}')));
    for (let sent = 0; sent < 200 && !dropped; sent++) {
      socket.write(burst);
      while (socket.writableLength > 1024 * 1024 && !dropped) await sleep(5);
    }
    await until(() => broker.output().includes('socket closed'), 'the socket is dropped');
    expect(residentMiB(broker) - before).toBeLessThan(250);
    socket.destroy();
  });

  test('that timed out and ignores our end is let go of', async () => {
    await using broker = await startBroker({ HANDSHAKE_TIMEOUT: '1' });
    const before = openFiles(broker);
    const peers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket: Socket = connect({ port: broker.port, host: '127.0.0.1', allowHalfOpen: true });
        socket.on('error', () => {});
        await once(socket, 'connect');
        socket.resume();
        socket.write('GET /ws HTTP/1.1\r\nHost: x\r\n');
        return socket;
      }),
    );
    await until(() => openFiles(broker) >= before + 50, 'all are connected');
    await until(() => openFiles(broker) <= before + 2, 'all are let go of');
    for (const socket of peers) socket.destroy();
    expect(await broker.stop()).toBe(0);
  });

  test('that pipelines a handshake behind a request keeps its ticket, and leaves nothing behind', async () => {
    await using broker = await startBroker();
    const before = openFiles(broker);
    const { ticket } = await broker.mint();
    for (let round = 0; round < 20; round++) {
      const socket = await dial(broker.port);
      let answers = '';
      socket.setEncoding('latin1').on('data', (text) => {
        answers += text;
      });
      socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${handshake({ target: target(ticket) })}`);
      await until(() => answers.includes('HTTP/1.1 426'), 'the handshake is answered');
      expect(answers).toContain('HTTP/1.1 200');
      socket.destroy();
    }
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
    await until(() => openFiles(broker) <= before + 5, 'all are gone');
    expect(broker.output()).not.toContain('ERR_HTTP_SOCKET_ASSIGNED');
    expect(await broker.stop()).toBe(0);
  });

  test('that was refused with a close code and does not go holds no place for others', async () => {
    await using broker = await startBroker({ WS_REJECT: 'close', MAX_CONNECTIONS: '5', ATTEMPT_LIMIT: '0' });
    const before = openFiles(broker);
    const bad = `wst_${'A'.repeat(43)}`;
    const rude = await Promise.all(Array.from({ length: 50 }, () => dial(broker.port)));
    for (const socket of rude) {
      socket.on('error', () => {});
      expect(await exchange(socket, handshake({ target: target(bad) }))).toMatchObject({ status: 101 });
    }
    const { ticket } = await broker.mint();
    const socket = new WebSocket(`${broker.url.replace('http', 'ws')}${target(ticket)}`);
    const [welcome] = await once(socket, 'message');
    expect(JSON.parse(String(welcome))).toMatchObject({ type: 'welcome' });
    await until(() => openFiles(broker) <= before + 5, 'the refused are gone');
    for (const refused of rude) refused.destroy();
    socket.terminate();
  });

  test('with a malformed handshake is answered in HTTP also where refusals are close codes', async () => {
    await using broker = await startBroker({ WS_REJECT: 'close' });
    const { ticket } = await broker.mint();
    const malformed = handshake({ target: target(ticket), headers: { 'Sec-WebSocket-Key': undefined } });
    expect(await ask(broker.port, malformed)).toMatchObject({
      status: 400,
      body: { error: 'invalid_request' },
    });
    const old = handshake({ target: target(ticket) }).replace('HTTP/1.1', 'HTTP/1.0');
    expect((await ask(broker.port, old)).status).toBe(426);
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
  });
});

describe('a mint', () => {
  test.each(['[', 'a/b?x=', 'a b', ''])(
    'for the host %j is refused before anything is written',
    async (host) => {
      await using broker = await startBroker();
      const request = `POST /tickets HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${await broker.token()}\r\nContent-Length: 0\r\n\r\n`;
      expect(await ask(broker.port, request)).toMatchObject({
        status: 400,
        body: { error: 'invalid_request' },
      });
      expect(broker.decisions().some(({ decision, granted }) => decision === 'mint' && granted)).toBe(false);
    },
  );
});

describe('a ticket bound to an address', () => {
  test('is let in from another, and reported, where BIND_IP is log', async () => {
    await using broker = await startBroker({ BIND_IP: 'log' });
    const { ticket } = await broker.mint({ bind: { ip: '203.0.113.9' } });
    expect(await ask(broker.port, handshake({ target: target(ticket) }))).toMatchObject({ status: 101 });
    expect(broker.decisions().at(-1)).toMatchObject({
      granted: true,
      ip: '127.0.0.1',
      bound_to: '203.0.113.9',
    });
  });
});

describe('a stop', () => {
  test('ends in time while clients keep coming back', async () => {
    const broker = await startBroker({ DRAIN_TIMEOUT: '5', MINT_LIMIT: '0', LOGIN_LIMIT: '0' });
    const token = await broker.token();
    const codes = new Set<number>();
    const bodies: string[] = [];
    let stopped = false;
    const clients = Array.from({ length: 40 }, async () => {
      while (!stopped) {
        try {
          const minted = await fetch(`${broker.url}/tickets`, {
            method: 'POST',
            headers: { authorization: `Bearer ${token}` },
          });
          const body = await minted.text();
          if (minted.status !== 201) {
            bodies.push(body);
            continue;
          }
          const socket = new WebSocket(
            `${broker.url.replace('http', 'ws')}${target(JSON.parse(body).ticket)}`,
          );
          const closed = new Promise<number>((resolve) => {
            socket.on('error', () => resolve(0));
            socket.on('close', resolve);
          });
          if (Math.random() < 0.5) setTimeout(() => socket.close(), 20);
          codes.add(await closed);
        } catch {
          await sleep(10);
        }
      }
    });
    await sleep(1000);
    const began = Date.now();
    expect(await broker.stop()).toBe(0);
    expect(Date.now() - began).toBeLessThan(8000);
    stopped = true;
    await Promise.all(clients);
    expect(codes).toContain(1012);
    for (const body of bodies) expect(JSON.parse(body)).toMatchObject({ error: 'overloaded' });
  });
});

describe('a start that cannot be', () => {
  test('ends, with one line that says why', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const PORT = String((taken.address() as { port: number }).port);
    const shared = { REDIS_URL: 'redis://127.0.0.1:1', TIERS: 'ws' };
    for (const env of [
      { ...shared, PORT },
      { PORT, METRICS_PORT: '0' },
      { ...shared, HOST: 'no.such.host.invalid' },
    ]) {
      const { code, stderr } = await failingStart(env);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^ticket-broker: .+\n$/);
    }
    taken.close();
  });

  test('names every file at fault by its variable, and quotes nothing of them', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'faulty-'));
    const [USERS_FILE, SERVICE_KEYS_FILE] = [join(dir, 'users'), join(dir, 'keys')];
    await writeFile(
      USERS_FILE,
      'alice:$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g\n',
    );
    await writeFile(SERVICE_KEYS_FILE, 'backend:plain-key:revoke\n');
    const { code, stderr } = await failingStart({ USERS_FILE, SERVICE_KEYS_FILE });
    expect(code).toBe(1);
    expect(stderr).toContain('USERS_FILE: line 1 has argon2id parameters');
    expect(stderr).toContain('SERVICE_KEYS_FILE: line 1 has no SHA-256');
    expect(stderr).not.toMatch(/plain-key|\$argon2id/);
  });
});

describe('/readyz', () => {
  test.each([
    ['NOREPLICAS', ['min-replicas-to-write', '1'], ['min-replicas-to-write', '0']],
    ['OOM', ['maxmemory', '1'], ['maxmemory', '0']],
  ])('is 503 while Redis answers %s, says so, and heals', async (reply, make, mend) => {
    const redis = await startRedisServer();
    {
      await using broker = await startBroker({ REDIS_URL: redis.url });
      const ready = async () => (await fetch(`${broker.url}/readyz`)).status;
      await until(async () => (await ready()) === 200, 'the broker is ready');
      await command(redis, 'CONFIG', 'SET', ...make);
      await until(async () => (await ready()) === 503, 'the broker notices');
      await until(
        () => broker.output().includes(`Redis refuses our commands (${reply})`),
        'the log says why',
      );
      await command(redis, 'CONFIG', 'SET', ...mend);
      await until(async () => (await ready()) === 200, 'the broker is ready again');
    }
    await redis.dispose();
  });
});

describe('refresh tokens', () => {
  test('stay with one login, are retried without harm, and end everything when a spent one comes back', async () => {
    const redis = await startRedisServer();
    {
      await using broker = await startBroker({ REDIS_URL: redis.url });
      await reached('the broker', async () => (await fetch(`${broker.url}/readyz`)).ok);
      const token = async (form: Record<string, string>) => {
        const response = await fetch(`${broker.url}/token`, {
          method: 'POST',
          body: new URLSearchParams(form),
        });
        return { status: response.status, ...((await response.json()) as Partial<Tokens>) };
      };
      const refresh = (refresh_token = '') => token({ grant_type: 'refresh_token', refresh_token });
      const authTime = (jwt = '') =>
        JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()).auth_time;
      const mint = (jwt = '') =>
        fetch(`${broker.url}/tickets`, { method: 'POST', headers: { authorization: `Bearer ${jwt}` } });

      const first = await token({ username: 'alice', password });
      const second = await refresh(first.refresh_token);
      expect(second.status).toBe(200);
      expect(authTime(second.access_token)).toBe(authTime(first.access_token));
      expect((await refresh(first.refresh_token)).refresh_token).toBe(second.refresh_token);
      const { ticket } = (await (await mint(second.access_token)).json()) as { ticket: string };
      const socket = new WebSocket(`${broker.url.replace('http', 'ws')}${target(ticket)}`);
      const closed = once(socket, 'close');
      await once(socket, 'message');

      await sleep(11_000);
      expect(await refresh(first.refresh_token)).toMatchObject({ status: 401, error: 'invalid_grant' });
      expect((await closed)[0]).toBe(3003);
      expect(await refresh(second.refresh_token)).toMatchObject({ status: 401 });
      expect((await mint(second.access_token)).status).toBe(401);
      const again = await token({ username: 'alice', password });
      expect((await mint(again.access_token)).status).toBe(201);

      for (const spent of [first, second, again]) {
        expect(broker.output()).not.toContain(spent.refresh_token);
      }
      const keys = (await command(redis, 'KEYS', '*')) as string[];
      expect(keys.join()).not.toContain('wsr_');
      const families = keys.filter((key) => key.includes('refresh:'));
      expect(families.length).toBeGreaterThan(0);
      for (const key of families)
        expect(JSON.stringify(await command(redis, 'HGETALL', key))).not.toContain('wsr_');
    }
    await redis.dispose();
  });
});

describe('a user', () => {
  test('who is removed from the file is out within seconds', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'users-'));
    const path = join(dir, 'users');
    const { hashPassword } = await import('../../src/credentials/passwords.ts');
    await writeFile(path, `alice:${await hashPassword(password)}\n`);
    await using broker = await startBroker({ USERS_FILE: path });
    const login = await fetch(`${broker.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({ username: 'alice', password }),
    });
    const { access_token, refresh_token } = (await login.json()) as Tokens;
    const { ticket } = await broker.mint();
    const socket = new WebSocket(`${broker.url.replace('http', 'ws')}${target(ticket)}`);
    const closed = once(socket, 'close');
    await once(socket, 'message');
    await writeFile(path, '# nobody\n');
    expect((await closed)[0]).toBe(3003);
    const refused = await fetch(`${broker.url}/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${access_token}` },
    });
    expect(await refused.json()).toMatchObject({ error: 'token_revoked' });
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token });
    expect((await fetch(`${broker.url}/token`, { method: 'POST', body: form })).status).toBe(401);
  });
});
