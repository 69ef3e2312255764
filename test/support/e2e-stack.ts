import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrokerProcess, repository, sharedStore, startBroker } from './broker-process.ts';
import { startAuthority } from './certificates.ts';
import { stop } from './proxies.ts';
import { freePort, listening } from './redis-server.ts';

/** What docker-compose.yml runs, without containers: nginx as deployed, over TLS, two HTTP nodes and two WebSocket nodes. */
export interface Stack extends AsyncDisposable {
  /** `https://localhost:<port>`, with a certificate that nobody trusts. */
  url: string;
  http: readonly BrokerProcess[];
  ws: readonly BrokerProcess[];
  /** What nginx has logged of requests. */
  accessLog(): Promise<string>;
}

export async function startStack(redisUrl: string, env: NodeJS.ProcessEnv = {}): Promise<Stack> {
  const shared = { ...sharedStore(redisUrl), TRUST_PROXY: '127.0.0.1', ...env };
  const nodes = (tier: string) => [1, 2].map(() => startBroker({ ...shared, TIERS: tier }));
  const started = new AsyncDisposableStack();
  try {
    const [http, ws] = await Promise.all([Promise.all(nodes('http')), Promise.all(nodes('ws'))]);
    for (const node of [...http, ...ws]) started.use(node);
    const { port, accessLog } = await startDoor(started, http, ws);
    return {
      url: `https://localhost:${port}`,
      http,
      ws,
      accessLog,
      [Symbol.asyncDispose]: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** deploy/nginx.conf with its ports, files and nodes moved. */
async function startDoor(
  started: AsyncDisposableStack,
  http: readonly BrokerProcess[],
  ws: readonly BrokerProcess[],
): Promise<{ port: number; accessLog: () => Promise<string> }> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const folder = await mkdtemp(join(tmpdir(), 'door-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  // For nginx' workers, which are nobody.
  await chmod(folder, 0o755);
  const authority = started.use(startAuthority());
  const { certFile, keyFile } = authority.issue('localhost', 'DNS:localhost');

  const upstream = (name: string, of: readonly BrokerProcess[]) =>
    `upstream ${name} { zone ${name} 64k; ${of.map((node) => `server 127.0.0.1:${node.port};`).join(' ')} }`;
  const moved = (await readFile(join(repository, 'deploy/nginx.conf'), 'utf8'))
    .replaceAll('/tmp/', `${folder}/`)
    .replaceAll('/dev/stdout', join(folder, 'access.log'))
    .replace('/var/lib/ticket-broker/tls/certificate.pem', certFile)
    .replace('/var/lib/ticket-broker/tls/key.pem', keyFile)
    .replace('listen 8080;', `listen 127.0.0.1:${plainPort};`)
    .replace('listen 8443 ssl;', `listen 127.0.0.1:${port} ssl;`)
    .replaceAll(/proxy_pass http:\/\/\$(http|ws)_tier:8080;/g, 'proxy_pass http://$$$1_tier;')
    .replace('http {', `http {\n${upstream('http', http)}\n${upstream('ws', ws)}\n`);
  await writeFile(join(folder, 'https-port.conf'), `map "" $https_port { default ${port}; }\n`);
  await writeFile(join(folder, 'nginx.conf'), moved);

  const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  started.defer(() => stop(nginx));
  await listening(port, nginx);
  return { port, accessLog: () => readFile(join(folder, 'access.log'), 'utf8') };
}
