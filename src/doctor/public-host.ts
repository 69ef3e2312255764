import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Whether a host is one that the world may reach: no private address, and no name that only some network knows. */
export function isPublicHost(host: string): boolean {
  if (isIP(host)) return !isPrivateAddress(host);
  return host.includes('.') && !/\.(local|localhost|internal|intranet|lan|home\.arpa|test)$/i.test(host);
}

/** Whether an address to listen on is every address. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Whether an address is of a private network, or of this machine. */
export function isPrivateAddress(address: string): boolean {
  const privately = ['private', 'loopback', 'linkLocal', 'uniqueLocal', 'carrierGradeNat', 'unspecified'];
  return isIP(address) !== 0 && privately.includes(ipaddr.process(address).range());
}
