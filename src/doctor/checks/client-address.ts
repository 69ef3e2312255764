import proxyAddr from '@fastify/proxy-addr';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';
import { isPrivateAddress } from '../public-host.ts';

export interface SeenAddress {
  /** The address that a node took us for. */
  seen: string;
  /** What we said in `X-Forwarded-For` and its like, which is nobody's address. */
  spoofed: string;
  /** The address that we came from, as far as this machine knows. */
  own: string | undefined;
  /** The addresses of what we came through. */
  entrance: readonly string[];
  /** Whether the world reaches it. */
  isPublic: boolean;
  /** TRUST_PROXY; undefined: not known here. */
  trusted: readonly string[] | undefined;
}

/** Whom the nodes take their visitors for. */
export function judgeAddress({ seen, spoofed, own, entrance, isPublic, trusted }: SeenAddress): Finding {
  const id = 'client-address';
  if (seen === spoofed) {
    return fault(
      id,
      'Whatever a visitor writes into X-Forwarded-For, or a header like it, is believed: limits on attempts and BIND_IP stop nobody.',
      'Let the proxy overwrite the header ($remote_addr, not $proxy_add_x_forwarded_for or nothing), and TRUST_PROXY name the proxy alone.',
    );
  }
  if (seen === own && entrance.includes(seen)) {
    return skipped(
      id,
      `Visitors from this machine and the proxy have the same address, ${seen}: ask from another.`,
    );
  }
  if (seen === own) return ok(id, `Nodes see where visitors come from: we are ${seen}.`);
  const isTrusted = trusted !== undefined && trusted.length > 0 && proxyAddr.compile([...trusted])(seen, 0);
  if (entrance.includes(seen) || (isPublic && isPrivateAddress(seen))) {
    return fault(
      id,
      `Nodes take every visitor for ${seen}, which is the proxy: all share one limit on attempts.`,
      isTrusted
        ? 'Let the proxy tell them who it is: X-Forwarded-For.'
        : 'Set TRUST_PROXY to the addresses of the proxy, and let it send X-Forwarded-For.',
    );
  }
  if (isTrusted) {
    return warning(
      id,
      `Nodes take us for ${seen}, which TRUST_PROXY trusts: it is a proxy that does not tell who comes, or TRUST_PROXY is too wide.`,
      'Let TRUST_PROXY name the proxies alone, and each of them send X-Forwarded-For.',
    );
  }
  return ok(id, `Nodes see where visitors come from: we are ${seen}; see that this is your address.`);
}
