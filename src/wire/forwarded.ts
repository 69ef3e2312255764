import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import { canonicalAddress } from '../address.ts';

/** Who is at the other end of a request, and which host they asked for. */
export interface Visitor {
  /** In its one spelling. */
  address: string;
  host: string;
}

/**
 * Reads a request through the trusted proxies, as Fastify's `trustProxy` does for its routes: for what never becomes one. What
 * a proxy forwarded that is no address is ignored for the proxy's own.
 *
 * @param trusted CIDRs; none: no forwarded header is believed
 */
export function visitorReader(trusted: readonly string[]): (request: IncomingMessage) => Visitor {
  const trusts = trusted.length > 0 ? proxyAddr.compile([...trusted]) : undefined;
  return (request) => {
    const { socket, headers } = request;
    const peer = socket.remoteAddress ?? '';
    const own = canonicalAddress(peer) ?? 'unknown';
    const asked = headers.host ?? '';
    if (!trusts?.(peer, 0)) return { address: own, host: asked };
    const forwardedHost = [headers['x-forwarded-host']].flat().at(-1)?.split(',').at(-1)?.trim();
    return {
      address: canonicalAddress(proxyAddr(request, trusts)) ?? own,
      host: forwardedHost || asked,
    };
  };
}
