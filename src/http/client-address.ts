import type { FastifyRequest } from 'fastify';
import { canonicalAddress } from '../address.ts';

/**
 * Who is at the other end: read through the trusted proxies (Fastify's `trustProxy`), in its one spelling. What a proxy
 * forwarded that is no address is ignored for the proxy's own.
 */
export function clientAddress(request: FastifyRequest): string {
  return (
    canonicalAddress(request.ip ?? '') ?? canonicalAddress(request.socket.remoteAddress ?? '') ?? 'unknown'
  );
}
