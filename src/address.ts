import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** How a ticket's IP binding is compared: not at all, only reported, by network (/24, /64), or to the bit. */
export type BindIp = 'off' | 'log' | 'prefix' | 'exact';

/** The one spelling of an IP address: lower case, shortest, `::ffff:` as IPv4, no zone; undefined when it is none. */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  // Some proxies forward the port, too.
  const [, bracketed, plain] = /^\[([^\]]*)\](?::\d+)?$|^([\d.]+)(?::\d+)?$/.exec(text) ?? [];
  const unzoned = (bracketed ?? plain ?? text).split('%', 1)[0] ?? '';
  return ipaddr.IPv4.isValidFourPartDecimal(unzoned) || ipaddr.IPv6.isValid(unzoned)
    ? ipaddr.process(unzoned).toString()
    : undefined;
}

/**
 * Whom an address is counted as: an IPv4 address alone, an IPv6 one with its /64, since one subscriber has at least that
 * many (RFC 6177).
 */
export function countedAs(address: string): string {
  return address.includes(':') ? network(address) : address;
}

/** The form in which a ticket is bound to an address. */
export function boundTo(address: string, mode: BindIp): string {
  return mode === 'prefix' ? network(address) : address;
}

/** Every form of a presenter's address that satisfies a binding; undefined when bindings do not decide. */
export function acceptableForms(address: string, mode: BindIp): string[] | undefined {
  if (mode === 'off' || mode === 'log') return undefined;
  if (!ipaddr.isValid(address)) return [];
  return mode === 'exact' ? [address] : [address, network(address)];
}

function network(address: string): string {
  const [family, bits] = address.includes(':') ? [ipaddr.IPv6, 64] : [ipaddr.IPv4, 24];
  return `${family.networkAddressFromCIDR(`${address}/${bits}`)}/${bits}`;
}
