import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Whether a host is one that the world may reach: no private address, and no name that only some network knows. */
export function isPublicHost(host: string): boolean {
  if (isIP(host)) return ipaddr.process(host).range() === 'unicast';
  return host.includes('.') && !/\.(local|localhost|internal|intranet|lan|home\.arpa|test)$/i.test(host);
}

/** Whether an address is of a private network, or of this machine. */
export function isPrivateAddress(address: string): boolean {
  return isIP(address) !== 0 && ipaddr.process(address).range() !== 'unicast';
}
