import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { FastifyRequest } from 'fastify';
import { countedAs } from '../address.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Store } from '../store/store.ts';
import { isTicket, ticketId } from '../tickets/ticket.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import { refusalsOf } from './refusal-schemas.ts';
import { TicketFate, TicketFateRequest } from './schemas.ts';
import type { SocketUrl } from './socket-url.ts';
import type { App } from './type-provider.ts';

export interface DemoRoutesOptions {
  store: Pick<Store, 'fateOf'>;
  registry: Pick<Registry, 'find'>;
  /** What the page calls the place where tickets are kept. */
  keptIn: 'Redis' | 'Memory';
  socketUrl: SocketUrl;
  /** Questions per address, a window. */
  mintLimit: number;
}

const folder = new URL('../demo/', import.meta.url);
const contentTypes = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);

/** The demo page at `/`, its files, read once, and the one question that only it asks. */
export async function demoRoutes(app: App, options: DemoRoutesOptions): Promise<void> {
  const { store, registry, keptIn, socketUrl, mintLimit } = options;

  for (const name of await readdir(folder)) {
    const type = contentTypes.get(extname(name));
    if (type === undefined) continue;
    const text = (await readFile(new URL(name, folder), 'utf8')).replaceAll('{{kept-in}}', keptIn);
    const url = name === 'index.html' ? '/' : `/demo/${name}`;
    app.get(url, { schema: { hide: true } }, async (request, reply) =>
      reply.headers(safeguards(socketUrl, request)).type(type).send(text),
    );
  }

  const perAddress = limit(app, 'demo_address', mintLimit);
  app.post(
    '/demo/ticket',
    {
      schema: {
        hide: true,
        body: TicketFateRequest,
        response: { 200: TicketFate, ...refusalsOf('rate_limited', 'store_unavailable') },
      },
    },
    async (request, reply) => {
      await perAddress(request, reply, countedAs(clientAddress(request)));
      const { ticket } = request.body;
      if (!isTicket(ticket)) return { state: 'unknown' as const };
      const fate = await store.fateOf(ticketId(ticket));
      if (fate.outcome !== 'used') return { state: fate.outcome };
      const node = (await registry.find(fate.sessionId))?.node;
      return { state: fate.outcome, session_id: fate.sessionId, ...(node && { node }) };
    },
  );
}

/** The page runs its own scripts, talks to this broker, and is nobody's frame. */
function safeguards(socketUrl: SocketUrl, request: FastifyRequest): Record<string, string> {
  const { host, origin } = new URL(socketUrl(request));
  // Not every browser takes 'self' for the WebSocket, too; and CSP knows no IPv6 addresses.
  const sockets = host.startsWith('[') ? '' : ` ${origin}`;
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      `connect-src 'self'${sockets}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  };
}
