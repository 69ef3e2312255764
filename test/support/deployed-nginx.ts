import { spawn } from 'node:child_process';
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

/** deploy/nginx.conf with its ports, files and nodes moved. @param nodes the ports of each tier, the first to be asked first */
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

    const upstream = (name: 'http' | 'ws') =>
      `upstream ${name} { zone ${name} 64k; ${nodes[name].map((of) => `server 127.0.0.1:${of};`).join(' ')} }`;
    const moved = (await readFile(join(repository, 'deploy/nginx.conf'), 'utf8'))
      .replaceAll('/tmp/', `${folder}/`)
      .replaceAll('/dev/stdout', join(folder, 'access.log'))
      .replace('/var/lib/ticket-broker/tls/certificate.pem', certFile)
      .replace('/var/lib/ticket-broker/tls/key.pem', keyFile)
      .replace('listen 8080;', `listen 127.0.0.1:${plainPort};`)
      .replace('listen 8443 ssl;', `listen 127.0.0.1:${port} ssl;`)
      .replaceAll(/proxy_pass http:\/\/\$(http|ws)_tier:8080;/g, 'proxy_pass http://$$$1_tier;')
      .replace('http {', `http {\n${upstream('http')}\n${upstream('ws')}\n`);
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
