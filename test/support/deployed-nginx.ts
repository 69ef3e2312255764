import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repository } from './broker-process.ts';
import { startAuthority } from './certificates.ts';
import { stop } from './proxies.ts';
import { freePort, listening } from './redis-server.ts';

export interface DeployedNginx extends AsyncDisposable {
  /** Of HTTPS, on localhost, with a certificate that nobody trusts. */
  port: number;
  /** What it has logged of requests. */
  accessLog(): Promise<string>;
}

/** A DNS server to which every name is unknown (RFC 1035 4.1.1: NXDOMAIN). */
async function startEmptyDns() {
  const dns = createSocket('udp4');
  dns.on('message', (query, { port, address }) => {
    query.writeUInt16BE(0x8183, 2);
    dns.send(query, port, address);
  });
  dns.bind(0, '127.0.0.1');
  await once(dns, 'listening');
  return { port: dns.address().port, [Symbol.dispose]: () => void dns.close() };
}

/**
 * deploy/nginx.conf with its ports, files and nodes moved.
 *
 * @param nodes the ports of each tier, the first to be asked first; where there are none, their name stands for nothing
 */
export async function startDeployedNginx(nodes: {
  http: readonly number[];
  ws: readonly number[];
}): Promise<DeployedNginx> {
  const started = new AsyncDisposableStack();
  try {
    const [port, plainPort] = [await freePort(), await freePort()];
    const folder = await mkdtemp(join(tmpdir(), 'door-'));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    // For nginx' workers, which are nobody.
    await chmod(folder, 0o755);
    const authority = started.use(startAuthority());
    const { certFile, keyFile } = authority.issue('localhost', 'DNS:localhost');

    const dns = started.use(await startEmptyDns());
    const tiers = (['http', 'ws'] as const).filter((name) => nodes[name].length > 0);
    const upstream = (name: 'http' | 'ws') =>
      `upstream ${name} { zone ${name} 64k; ${nodes[name].map((of) => `server 127.0.0.1:${of};`).join(' ')} }`;
    const moved = (await readFile(join(repository, 'deploy/nginx.conf'), 'utf8'))
      .replaceAll('/tmp/', `${folder}/`)
      .replaceAll('/dev/stdout', join(folder, 'access.log'))
      .replace('/var/lib/ticket-broker/tls/certificate.pem', certFile)
      .replace('/var/lib/ticket-broker/tls/key.pem', keyFile)
      .replace('listen 8080;', `listen 127.0.0.1:${plainPort};`)
      .replace('listen 8443 ssl;', `listen 127.0.0.1:${port} ssl;`)
      .replaceAll(/resolver [^ ]+/g, `resolver 127.0.0.1:${dns.port}`)
      .replaceAll(/proxy_pass http:\/\/\$(http|ws)_tier:8080;/g, 'proxy_pass http://$$$1_tier;')
      .replace('http {', `http {\n${tiers.map(upstream).join('\n')}\n`);
    await writeFile(join(folder, 'https-port.conf'), `map "" $https_port { default ${port}; }\n`);
    await writeFile(join(folder, 'nginx.conf'), moved);

    const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    started.defer(() => stop(nginx));
    await listening(port, nginx);
    return {
      port,
      accessLog: () => readFile(join(folder, 'access.log'), 'utf8'),
      [Symbol.asyncDispose]: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
