import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Metrics } from '../metrics.ts';

/** Serves `/metrics` on a port of its own, which the world need not reach. @returns what stops it */
export async function serveMetrics(
  metrics: Metrics,
  host: string,
  port: number,
): Promise<() => Promise<void>> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.listen(port, host);
  await once(server, 'listening');
  return async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
}
