import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, getCACertificates } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { everythingInRedis } from './redis-contents.ts';
import { docker, eventually, type Stack, startStack } from './stack.ts';
import { type Minted, register, type Visitor } from './visitor.ts';

// All of this comes from one address, and is refused more often than an address may be.
const limits = { ATTEMPT_LIMIT: '100000', LOGIN_LIMIT: '100000', MINT_LIMIT: '100000' };
let stack: Stack;
let alice: Visitor;

beforeAll(async () => {
  stack = await startStack({ ...limits, LOG_LEVEL: 'debug', AUDIT_LOG: 'stdout' });
  alice = await register(stack, 'alice');
});
afterEach(() => alice?.leave());
afterAll(() => stack?.down());

/** How many ended in which way. */
const tally = (outcomes: readonly (string | number)[]) =>
  Object.fromEntries(outcomes.map((outcome) => [outcome, outcomes.filter((one) => one === outcome).length]));

const knockAll = async (tickets: readonly Minted[]) =>
  tally(
    await Promise.all(
      tickets.map(async (minted, i) => (await alice.knock(minted, i % 2 ? 'url' : 'subprotocol')).status),
    ),
  );

/** Waits until all WebSocket nodes, or as many as said, let people in. */
async function untilServing(count = 2): Promise<void> {
  const admitted = async () =>
    Promise.all(
      (await stack.containers('ws')).map(
        async (node) => (await stack.decisions(node)).filter(({ granted }) => granted).length,
      ),
    );
  const before = await admitted();
  await eventually(async () => {
    const token = await alice.login();
    for (let i = 0; i < 10; i++) await alice.knock(await alice.mint(token));
    const grown = (await admitted()).filter((now, node) => now > (before[node] ?? 0));
    expect(grown).toHaveLength(count);
  });
  alice.leave();
}

describe('a start', () => {
  const keptFiles = 'cd /var/lib/ticket-broker && sha256sum */* && stat -c "%A %U %n" */*';

  test('keeps the secrets, the certificate and the users of the one before', async () => {
    const everything = () => stack.compose(['run', '--rm', '-T', 'first-start', 'sh', '-c', keptFiles]);
    const token = await alice.login();
    const before = await stack.containers('ws');
    const kept = await everything();
    await stack.compose(['up', '-d', '--force-recreate']);
    expect(await stack.containers('ws')).not.toEqual(before);
    await eventually(async () => {
      expect((await alice.knock(await alice.mint(token))).status).toBe(101);
    });
    await alice.login();

    expect(await everything()).toBe(kept);
    const secret = kept
      .split('\n')
      .filter((line) => /jwt-secret|password|key\.pem|redis-(login|users)/.test(line));
    expect(secret.length).toBeGreaterThan(10);
    expect(secret.filter((line) => line.startsWith('-') && !/^-rw-r----- node /.test(line))).toEqual([]);
  });

  test('gives every service no more than it needs', async () => {
    const inside = (service: string, command: string) =>
      stack.compose(['exec', '-T', service, 'sh', '-c', `${command} || true`]);
    const files = async (service: string) =>
      (await inside(service, 'find /var/lib/ticket-broker -type f')).split('\n').filter(Boolean).sort();
    const at = (...names: string[]) => names.map((name) => `/var/lib/ticket-broker/${name}`);
    const login = at('redis-login/password', 'redis-login/redis', 'redis-login/sentinel');

    expect(await files('ws')).toEqual(login);
    expect(await files('http')).toEqual([
      ...at('accounts/service-keys', 'accounts/users'),
      ...login,
      ...at('secrets/jwt-secret'),
    ]);
    expect(await files('lb')).toEqual(at('tls/certificate.pem', 'tls/key.pem'));
    expect(await files('redis')).toEqual(
      at('operator', 'replica', 'sentinel', 'sentinel-users.acl', 'users.acl').map((path) =>
        path.replace('ticket-broker/', 'ticket-broker/redis-users/'),
      ),
    );
    expect(await inside('ws', 'env')).not.toMatch(/JWT_|USERS_FILE/);
    expect(await inside('http', 'id -un; touch /app/x $JWT_SECRET_FILE $REDIS_URL_FILE 2>&1')).toMatch(
      /^node\n.*\/app\/x.*Read-only file system\n.*jwt-secret.*Read-only file system\n.*redis.*Read-only file system\n$/,
    );
    expect(await inside('lb', 'curl -sS -m 2 redis:6379 2>&1')).toMatch(/not resolve/);
  });

  test('confines every container', async () => {
    const memory: Record<string, number> = { redis: 768, lb: 1024 };
    for (const service of ['first-start', 'redis', 'http', 'ws', 'lb']) {
      const [id = ''] = await stack.containers(service);
      const [{ Config, HostConfig }] = JSON.parse(await docker('inspect', id)) as [Inspected];
      expect({ service, user: Config.User }).not.toMatchObject({
        user: expect.stringMatching(/^(root|0)?$/),
      });
      expect({ service, ...HostConfig }).toMatchObject({
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
        Memory: (memory[service] ?? 512) * 1024 ** 2,
        NanoCpus: 1e9,
        PidsLimit: 256,
        RestartPolicy: { Name: service === 'first-start' ? expect.anything() : 'unless-stopped' },
        ...(['http', 'ws'].includes(service) && { Init: true }),
      });
      const published = Object.values(HostConfig.PortBindings ?? {}).flat();
      expect(published.map(({ HostIp }) => HostIp)).toEqual(
        service === 'lb' ? ['127.0.0.1', '127.0.0.1'] : [],
      );
    }
  });
});

interface Inspected {
  Config: { User: string };
  HostConfig: { PortBindings: Record<string, { HostIp: string }[]> | null };
}

describe('the door', () => {
  test('has a certificate for localhost, and for nothing else', async () => {
    const { hostname, port } = new URL(stack.url);
    const handshake = (options: ConnectionOptions) =>
      new Promise<string>((resolve) => {
        const socket = connect({ host: hostname, port: Number(port), ...options });
        socket.once('secureConnect', () => {
          resolve(socket.getProtocol() ?? '');
          socket.destroy();
        });
        socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      });
    expect(await handshake({})).toBe('TLSv1.3');
    expect(await handshake({ servername: 'localhost' })).toBe('TLSv1.3');
    expect(await handshake({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2');
    expect(await handshake({ servername: 'example.com' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await handshake({ ca: getCACertificates('bundled') })).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(
      await handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }),
    ).toMatch(/PROTOCOL_VERSION|ALERT/);

    const certificate = new X509Certificate(stack.certificate);
    expect(certificate.ca).toBe(false);
    expect(certificate.validToDate.getTime() - Date.now()).toBeGreaterThan(365 * 86_400_000);
    const response = await fetch(`${stack.url}/healthz`);
    expect(response.headers.get('strict-transport-security')).toBeNull();
  });

  test('is found from plain HTTP, with all that was asked', async () => {
    const asked = await fetch(`${stack.plainUrl}/tickets?x=%2F1`, { method: 'POST', redirect: 'manual' });
    expect([asked.status, asked.headers.get('location'), asked.headers.get('cache-control')]).toEqual([
      308,
      `${stack.url}/tickets?x=%2F1`,
      'no-store',
    ]);
    const followed = await fetch(`${stack.plainUrl.replace('127.0.0.1', 'localhost')}/healthz`);
    expect([followed.status, followed.url]).toEqual([
      200,
      `${stack.url.replace('127.0.0.1', 'localhost')}/healthz`,
    ]);
  });

  test('takes no ticket over plain HTTP', async () => {
    const minted = await alice.mint(await alice.login());
    const { pathname, search } = new URL(minted.url);
    const handshake = request(stack.plainUrl + pathname + search, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': randomBytes(16).toString('base64'),
      },
    });
    const answered = once(handshake, 'response');
    handshake.end();
    const [response] = (await answered) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(308);
    const knock = await alice.knock(minted);
    expect([knock.status, knock.socket?.url.slice(0, 6)]).toEqual([101, 'wss://']);
  });
});

describe('the balancer', () => {
  test('admits each ticket once, on whichever node', async () => {
    const token = await alice.login();
    const tickets = await Promise.all(Array.from({ length: 60 }, () => alice.mint(token)));
    expect(await knockAll(tickets)).toEqual({ 101: 60 });
    expect(await knockAll([...tickets, ...tickets])).toEqual({ 401: 120 });

    const ids = new Set(tickets.map(({ ticket_id }) => ticket_id));
    const nodes = await Promise.all((await stack.containers('ws')).map(stack.decisions));
    const ours = nodes.map((node) => node.filter(({ ticket_id = '' }) => ids.has(ticket_id)));
    const admitted = ours.map((node) => node.filter(({ granted }) => granted).length);
    const replayed = ours.map((node) => node.filter(({ reason }) => reason === 'replayed').length);
    console.log(`admitted by each node: ${admitted}; replays refused by each: ${replayed}`);
    expect(admitted).toHaveLength(2);
    expect(Math.min(...admitted, ...replayed)).toBeGreaterThan(0);
    expect(admitted.reduce((a, b) => a + b)).toBe(60);
    expect(replayed.reduce((a, b) => a + b)).toBe(120);
  });

  test('lets one of 200 simultaneous connections with the same ticket in', async () => {
    const token = await alice.login();
    for (let round = 0; round < 3; round++) {
      const minted = await alice.mint(token);
      expect(await knockAll(Array(200).fill(minted))).toEqual({ 101: 1, 401: 199 });
    }
  });

  test('says itself where the client is, and what it asked for', async () => {
    const minted = await alice.mint(await alice.login(), {
      'x-forwarded-for': '9.9.9.9',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'http',
    });
    expect(minted.url).toBe(`${stack.url.replace('http', 'ws')}/ws?ticket=${minted.ticket}`);

    const nodes = await Promise.all((await stack.containers('http')).map(stack.decisions));
    const decision = nodes.flat().find(({ ticket_id }) => ticket_id === minted.ticket_id);
    expect(decision?.ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(decision?.ip).not.toBe('9.9.9.9');
  });
});

test('the doctor finds nothing wrong, from inside', async () => {
  const inside = ['exec', '-T', 'http', 'ticket-broker'];
  const key = await stack.compose([
    ...inside,
    'keys',
    'add',
    'doctor',
    '--scope',
    'tickets:mint',
    'revoke',
    'sessions:read',
  ]);
  const examined = await stack.compose(
    [
      ...[...inside, 'doctor', '--json', '--key-file', '-', '--url', 'https://lb:8443', '--insecure'],
      ...['--node', 'http://http:8080', 'http://ws:8080'],
    ],
    key,
  );
  const { findings } = JSON.parse(examined) as { findings: { id: string; severity: string }[] };
  const bad = findings
    .filter(({ severity }) => severity !== 'ok')
    .map(({ id, severity }) => `${severity} ${id}`);
  // Its certificate is for localhost.
  expect(bad).toEqual(['notice certificate']);
  expect(findings.filter(({ id }) => id === 'ready').length).toBe(6);
});

describe('WebSocket nodes', () => {
  test('that are stopped ask their sockets to come back', async () => {
    const [node = ''] = await stack.containers('ws');
    const token = await alice.login();
    const closed: Promise<number>[] = [];
    for (let i = 0; i < 20; i++) {
      const knock = await alice.knock(await alice.mint(token));
      if (knock.closed) closed.push(knock.closed);
    }
    expect(closed).toHaveLength(20);

    await docker('stop', node);
    expect((await docker('inspect', '--format', '{{.State.ExitCode}}', node)).trim()).toBe('0');
    expect((await alice.knock(await alice.mint(token))).status).toBe(101);
    alice.leave();
    const codes = tally(await Promise.all(closed));
    console.log('close codes:', codes);
    expect(codes).toEqual({ 1012: expect.any(Number), 1006: expect.any(Number) });

    await docker('start', node);
    await untilServing();
  });

  test('that are killed, and HTTP nodes, take nobody else with them', async () => {
    const [httpNode = ''] = await stack.containers('http');
    const [wsNode = '', survivor = ''] = await stack.containers('ws');
    const token = await alice.login();
    const held: { ticket_id: string; isOpen: () => boolean }[] = [];
    for (let i = 0; i < 40; i++) {
      const minted = await alice.mint(token);
      const knock = await alice.knock(minted);
      const isOpen = () => knock.socket?.readyState === WebSocket.OPEN;
      held.push({ ticket_id: minted.ticket_id, isOpen });
    }

    // Logins, mints and connections go on all the while.
    const rounds: { began: number; took: number; outcome: string }[] = [];
    let going = true;
    const round = async () => {
      const knock = await alice.knock(await alice.mint(await alice.login()));
      return `/ws answered ${knock.status}`;
    };
    const traffic = Array.from({ length: 4 }, async () => {
      while (going) {
        const began = performance.now();
        const outcome = await round().catch((error: Error) => error.message);
        rounds.push({ began, took: performance.now() - began, outcome });
      }
    });
    await sleep(1000);
    await docker('kill', httpNode, wsNode);
    const dead = performance.now();
    await sleep(8000);
    going = false;
    await Promise.all(traffic);

    const later = rounds.filter(({ began }) => began > dead);
    const earlier = rounds.filter(({ began }) => began <= dead);
    const slowest = Math.round(Math.max(...later.map(({ took }) => took)));
    console.log('before and during the kill:', tally(earlier.map(({ outcome }) => outcome)));
    console.log('after it:', tally(later.map(({ outcome }) => outcome)), `slowest ${slowest} ms`);
    expect(tally(later.map(({ outcome }) => outcome))).toEqual({ '/ws answered 101': expect.any(Number) });
    // Who was on the way is told to try again, and nothing worse.
    expect(earlier.filter(({ outcome }) => !/ (101|503)$/.test(outcome))).toEqual([]);

    const admitted = (await stack.decisions(survivor)).filter(({ granted }) => granted);
    const safe = new Set(admitted.map(({ ticket_id }) => ticket_id));
    const lost = held.filter(({ ticket_id }) => !safe.has(ticket_id));
    console.log(`sockets: ${held.length - lost.length} on the surviving node, ${lost.length} on the other`);
    expect(lost.length).toBeGreaterThan(0);
    expect(held.filter(({ isOpen }) => !isOpen())).toEqual(lost);
  });

  test('that are all gone are excused by the balancer, until they are back', async () => {
    const token = await alice.login();
    const nodes = await stack.containers('ws');
    await docker('kill', nodes[1] ?? '');
    const refused = await alice.knock(await alice.mint(token));
    expect(refused).toMatchObject({ status: 503, retryAfter: '1', body: { error: 'overloaded' } });

    await docker('start', ...nodes, ...(await stack.containers('http')));
    await untilServing();
  });

  test('that are added are found without a restart of nginx', async () => {
    await stack.compose(['up', '-d', '--no-recreate', '--scale', 'ws=4']);
    await untilServing(4);
  });
});

describe('what is left behind', () => {
  test('holds no secret: no log, no audit, no metrics, and not Redis', async () => {
    const token = await alice.login();
    for (let n = 0; n < 1000; n += 50) {
      const minted = await Promise.all(Array.from({ length: 50 }, () => alice.mint(token)));
      await Promise.all(minted.map((one) => alice.knock(one)));
    }
    alice.leave();
    const unused = await alice.mint(token);
    // Where a ticket does not belong: encoded into the path, and in the query of another tier's.
    await fetch(`${stack.url}/ws%3Fticket=${unused.ticket}`);
    await fetch(`${stack.url}/tickets?token=${token}&ticket=${unused.ticket}`, {
      headers: { referer: unused.url },
    });
    const files =
      'cd /var/lib/ticket-broker && cat secrets/* redis-login/password redis-users/[a-r]*[a-z] redis-users/sentinel';
    const made = await stack.compose(['run', '--rm', '-T', 'first-start', 'sh', '-c', files]);
    const secrets = [...alice.secrets, ...made.split('\n').filter((line) => /^\S{32,}$/.test(line))].map(
      (text) => text.replace(/^wst_/, ''),
    );

    const logs = await stack.compose(['logs', '--no-color']);
    const redis = await everythingInRedis(stack);
    const nodes = [...(await stack.containers('http')), ...(await stack.containers('ws'))];
    const scrape = 'fetch("http://127.0.0.1:9464/metrics").then((answer) => answer.text()).then(console.log)';
    const metrics = await Promise.all(nodes.map((node) => docker('exec', node, 'node', '-e', scrape)));
    console.log(
      `${secrets.length} secrets, ${logs.length} characters of logs and audit, ${metrics.join().length} of metrics, ${redis.length} keys in Redis`,
    );
    expect(logs).toContain('"event":"mint"');
    expect(metrics.join()).toContain('ticket_broker_tickets_issued_total{by="user"}');
    expect(logs).toContain(unused.ticket_id);
    expect(redis.map(({ key }) => key)).toContainEqual(expect.stringContaining(unused.ticket_id));

    const containers = await docker('inspect', ...(await stack.containers()));
    const text = logs + metrics.join() + JSON.stringify(redis) + containers;
    expect(secrets.filter((one) => text.includes(one))).toEqual([]);
  });
});

test('the certificate is made anew a month before its end, and one of yours is left alone', async () => {
  const inside = (script: string) =>
    stack.compose(['run', '--rm', '-T', 'first-start', 'sh', '-c', `exec 2>/dev/null; ${script}`]);
  const tls = '/var/lib/ticket-broker/tls';
  const put = (days: number, name: string) =>
    `openssl req -x509 -config certificate.cnf -days ${days} -newkey rsa:2048 -nodes ` +
    `-subj '/CN=${name}' -keyout ${tls}/key.pem -out ${tls}/certificate.pem`;
  const afterwards = async (days: number, name: string) => {
    const told = await inside(
      `${put(days, name)} && cat ${tls}/certificate.pem && echo && sh first-start.sh`,
    );
    const now = new X509Certificate(await inside(`cat ${tls}/certificate.pem`));
    const matches = await inside(`openssl pkey -in ${tls}/key.pem -pubout`);
    expect(now.publicKey.export({ type: 'spki', format: 'pem' })).toBe(matches);
    return told.includes(now.toString()) ? 'kept' : 'made anew';
  };
  expect(await afterwards(29, 'ticket-broker, self-signed')).toBe('made anew');
  expect(await afterwards(40, 'ticket-broker, self-signed')).toBe('kept');
  expect(await afterwards(1, 'chat.example')).toBe('kept');
});
