import { parseCookie } from 'cookie';
import type { FastifyRequest } from 'fastify';
import { BrokerError } from '../errors.ts';
import { checkOrigin } from '../origin.ts';

export interface CookieTokenOptions {
  /** The cookie's name; undefined: no cookie is looked at. */
  name: string | undefined;
  /** Never `*` where a cookie is named: the configuration would be refused. */
  allowedOrigins: ReadonlySet<string> | '*' | undefined;
}

/**
 * The token in a request's cookie, undefined where none came.
 *
 * @throws BrokerError `origin_forbidden` when a page of another origin sent it, `invalid_request` when it came twice
 */
export type CookieToken = (request: FastifyRequest) => string | undefined;

export function cookieToken({ name, allowedOrigins }: CookieTokenOptions): CookieToken {
  if (name === undefined) return () => undefined;
  return (request) => {
    const [token, another] = cookiesNamed(name, request.headers.cookie);
    if (token === undefined) return undefined;
    checkPage(request, allowedOrigins);
    if (another === undefined) return token;
    // A page of a neighbouring host can set a second one, and which of them comes first is up to it (RFC 6265 5.4).
    throw new BrokerError('invalid_request', {
      description: `The cookie ${name} is given more than once.`,
      reason: 'several_cookies',
    });
  };
}

/** Any page can make a browser send its visitor's cookies: the page that did has to be one of ours. */
function checkPage({ headers, host }: FastifyRequest, allowed: CookieTokenOptions['allowedOrigins']): void {
  const site = headers['sec-fetch-site'];
  const sameOrigin = site === 'same-origin';
  if (headers.origin === undefined) {
    if (sameOrigin) return;
    throw new BrokerError('origin_forbidden', {
      description: 'Origin is missing: a cookie is taken from pages of an allowed origin only.',
      reason: 'no_origin',
    });
  }
  checkOrigin(headers.origin, host, allowed);
  // A host alone does not tell its http page, which anybody on the network can write, from https; browsers do.
  if (!allowed && site !== undefined && !sameOrigin) throw new BrokerError('origin_forbidden');
}

/** `parseCookie` would keep the first of several that have the same name. */
function cookiesNamed(name: string, header = ''): string[] {
  return header.split(';').flatMap((pair) => parseCookie(pair)[name] ?? []);
}
