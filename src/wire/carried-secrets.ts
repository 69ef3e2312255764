import type { IncomingMessage } from 'node:http';

const secretParameters = ['ticket', 'token', 'access_token'] as const;

/** Secrets that came in the query of a request's URL, by parameter, in the order given. */
export type CarriedSecrets = Readonly<Record<(typeof secretParameters)[number], readonly string[]>>;

const carried = new WeakMap<IncomingMessage, CarriedSecrets>();
const none: CarriedSecrets = { ticket: [], token: [], access_token: [] };

/**
 * Takes the secrets out of a request's URL before anything sees it: Fastify's errors, hooks and logs all print URLs.
 * For Fastify's `rewriteUrl`, which has put the original into `originalUrl`; that one is cleaned too.
 */
export function withoutSecrets(request: IncomingMessage & { originalUrl?: string }): string {
  const url = request.url ?? '/';
  const start = url.indexOf('?');
  if (start < 0) return url;
  const query = new URLSearchParams(url.slice(start + 1));
  const found: CarriedSecrets = {
    ticket: query.getAll('ticket'),
    token: query.getAll('token'),
    access_token: query.getAll('access_token'),
  };
  if (secretParameters.every((name) => found[name].length === 0)) return url;

  carried.set(request, found);
  for (const name of secretParameters) query.delete(name);
  const clean = query.size > 0 ? `${url.slice(0, start)}?${query}` : url.slice(0, start);
  request.url = clean;
  request.originalUrl = clean;
  return clean;
}

export function carriedSecrets(request: IncomingMessage): CarriedSecrets {
  return carried.get(request) ?? none;
}
