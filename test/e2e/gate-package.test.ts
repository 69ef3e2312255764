import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerProcess, repository, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, handshake } from '../support/e2e-raw-http.ts';
import { until } from '../support/e2e-until.ts';
import { freePort } from '../support/redis-server.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

const run = promisify(execFile);
let folder: string;
let broker: BrokerProcess;
let store: NodeJS.ProcessEnv;

/** An empty project, with the package in it as npm packs it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gate-package-'));
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: repository });
  // What `prepack` prints comes first.
  const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[\n')));
  await writeFile(join(folder, 'package.json'), '{"type": "module", "private": true}');
  const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--omit=dev'];
  await run('npm', ['install', ...quietly, `./${filename}`, 'ws'], { cwd: folder });
  await copyFile(join(repository, 'examples/guarded-ws/server.js'), join(folder, 'server.js'));
  store = { ...sharedStore(inject('redisUrl')), KEY_PREFIX: 'wst:' };
  broker = await startBroker({
    ...store,
    SERVICE_KEYS_FILE: serviceKeysFile({ node: 'tickets:redeem', root: 'revoke' }),
  });
}, 180_000);
afterAll(async () => {
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
});

test.each([
  ['Redis', () => ({ REDIS_URL: store['REDIS_URL'] })],
  ['the broker', () => ({ BROKER_URL: broker.url, BROKER_KEY: keyOf('node') })],
])('installed in an empty folder, it guards a few lines of ws, asking %s', async (_what, env) => {
  const port = await freePort();
  const server = spawn(process.execPath, ['server.js'], {
    cwd: folder,
    env: { PATH: process.env['PATH'], PORT: `${port}`, ...env() },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    await until(async () => (await fetch(`http://127.0.0.1:${port}`)).ok, 'the gate is ready');
    const { ticket, ticket_id } = await broker.mint();
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, ['chat', `ticket.${ticket}`]);
    expect(String((await once(socket, 'message'))[0])).toBe('hello alice');

    const replay = await ask(port, handshake({ target: `/?ticket=${ticket}` }));
    expect(replay).toMatchObject({ status: 401, body: { error: 'invalid_ticket' } });

    const closed = once(socket, 'close');
    const answer = await fetch(`${broker.url}/revocations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyOf('root')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ticket_id }),
    });
    expect(answer.status).toBe(200);
    expect((await closed)[0]).toBe(3003);
  } finally {
    server.kill();
    await once(server, 'exit');
  }
});

test('its declarations hold what they promise, to a strict compiler', async () => {
  await writeFile(
    join(folder, 'app.ts'),
    `import fastify from 'fastify';
import { BrokerError, fastifyGate, type GateSession, openGate } from 'ticket-broker/gate';

const gate = openGate({ redis: 'redis://127.0.0.1', audience: 'chat', allowedOrigins: ['https://app.example'] });
const app = fastify();
await app.register(fastifyGate, { gate });
app.get('/chat', { websocket: true }, (socket, request) => {
  const session: GateSession | null = request.ticketSession;
  socket.send(session?.rooms?.join() ?? 'any');
});
export const status: number = new BrokerError('invalid_ticket').status;
// @ts-expect-error a source is needed
openGate({ audience: 'chat' });
`,
  );
  const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024', '--skipLibCheck'];
  const tsc = join(repository, 'node_modules/.bin/tsc');
  const types = ['--typeRoots', join(repository, 'node_modules/@types'), '--types', 'node'];
  await expect(run(tsc, [...options, ...types, 'app.ts'], { cwd: folder })).resolves.toMatchObject({
    stdout: '',
  });
});

test('its command runs, too', async () => {
  const { stdout } = await run(process.execPath, [join(folder, 'node_modules/.bin/ticket-broker'), '--help']);
  expect(stdout).toContain('serve');
});

test('its command brings the demo page along', async () => {
  const port = await freePort();
  const command = join(folder, 'node_modules/.bin/ticket-broker');
  const server = spawn(process.execPath, [command, 'serve'], {
    env: { PATH: process.env['PATH'], PORT: `${port}` },
    stdio: 'ignore',
  });
  try {
    const url = `http://127.0.0.1:${port}`;
    await until(async () => (await fetch(`${url}/readyz`)).ok, 'it is ready');
    const page = await (await fetch(`${url}/`)).text();
    const files = [...page.matchAll(/"(\/demo\/[^"]+)"/g)].map(([, path]) => path);
    expect(files).toHaveLength(3);
    for (const file of files) expect((await fetch(`${url}${file}`)).status, file).toBe(200);
  } finally {
    server.kill();
    await once(server, 'exit');
  }
});
