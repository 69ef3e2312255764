import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BrokerError, type RefusalCode } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { answerTo } from '../wire/refusal-answer.ts';

/**
 * Serves `/metrics` on a port of its own, which the world need not reach.
 *
 * @param port 0: any that is free
 * @returns the port that it is, and what stops it
 */
export async function serveMetrics(
  metrics: Metrics,
  host: string,
  port: number,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    const refuse = (code: RefusalCode) => {
      const { status, headers, body } = answerTo(new BrokerError(code));
      response.writeHead(status, headers).end(JSON.stringify(body));
    };
    if (!['GET', 'HEAD'].includes(method) || url.split('?', 1)[0] !== '/metrics') return refuse('not_found');
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => refuse('internal_error'),
    );
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
