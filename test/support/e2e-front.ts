import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Certificate } from './certificates.ts';
import { freePort, listening } from './redis-server.ts';

export interface FrontOptions {
  /** The port of the broker. */
  broker: number;
  /** What the broker is told of where a visitor comes from. */
  forwardedFor?: string;
  forwardedProto?: string;
  /** What is logged of a request. */
  logged?: string;
  /** What else the server does. */
  locations?: string;
  /** False: the proxy knows no WebSockets. */
  upgrades?: boolean;
  tls?: Certificate;
}

export interface Front extends AsyncDisposable {
  url: string;
  accessLog: string;
}

/** nginx in front of a broker that keeps its sockets itself: as it should be, unless the options say otherwise. */
export async function startFront(options: FrontOptions): Promise<Front> {
  const { broker, forwardedFor = '$remote_addr', forwardedProto = '$scheme', tls } = options;
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'front-'));
  await mkdir(join(folder, 'tmp'));
  const header = (name: string, value: string) => `proxy_set_header ${name} "${value}";`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path tmp;`);
  await writeFile(
    join(folder, 'nginx.conf'),
    `
pid nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
  error_log /dev/null emerg;
  log_format front '$remote_addr ${options.logged ?? '$request_method $uri'} $status';
  access_log access.log front;
  ${temporary.join(' ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${tls ? `ssl_certificate ${tls.certFile}; ssl_certificate_key ${tls.keyFile};` : ''}
    proxy_http_version 1.1;
    ${header('Host', '$http_host')}
    ${header('X-Forwarded-For', forwardedFor)}
    ${header('X-Forwarded-Proto', forwardedProto)}
    ${options.upgrades === false ? '' : header('Upgrade', '$http_upgrade')}
    ${header('Connection', options.upgrades === false ? '' : '$connection_upgrade')}
    location / { proxy_pass http://127.0.0.1:${broker}; }
    ${options.locations ?? 'location /verify { return 404; }'}
  }
}`,
  );
  const errors = await open(join(folder, 'errors'), 'a');
  const child = spawn('nginx', ['-p', './', '-c', 'nginx.conf', '-g', 'daemon off;'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', errors.fd],
  });
  await errors.close();
  await listening(port, child);
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    accessLog: join(folder, 'access.log'),
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
