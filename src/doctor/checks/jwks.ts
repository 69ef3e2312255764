import { fetchFailure } from '../../fetch-failure.ts';
import { type Finding, fault, ok, warning } from '../finding.ts';
import { isPublicHost } from '../public-host.ts';

/** Whether the identity provider's keys can be fetched, and used. The broker takes asymmetric ones only. */
export async function checkJwks(url: string, ask: typeof fetch): Promise<Finding[]> {
  const id = 'jwks';
  let keys: unknown;
  try {
    // As a node does it: jose waits so long, follows nothing and takes 200 only.
    const response = await ask(url, { signal: AbortSignal.timeout(3000), redirect: 'manual' });
    if (response.status !== 200) return [unreachable(`it answers ${response.status}`)];
    ({ keys } = ((await response.json()) ?? {}) as { keys?: unknown });
  } catch (error) {
    return [unreachable(reasonOf(error as Error))];
  }
  if (!Array.isArray(keys)) return [unreachable('it answers something that is no set of keys')];
  const { protocol, hostname } = new URL(url);
  const inClear =
    protocol === 'http:' && isPublicHost(hostname)
      ? [
          warning(
            'jwks-https',
            'JWKS_URL is http://: whoever is in between can put keys of their own in.',
            'Make it https://.',
          ),
        ]
      : [];
  return [judge(keys), ...inClear];

  function unreachable(why: string): Finding {
    return fault(
      id,
      `The keys at JWKS_URL cannot be fetched: ${why}.`,
      'Mend JWKS_URL or the network: without it, tokens of the identity provider are answered 503.',
    );
  }
}

function judge(keys: readonly unknown[]): Finding {
  const id = 'jwks';
  const usable = keys.filter(isUsable);
  const algorithms = [...new Set(usable.map(({ alg, kty }) => alg ?? kty))].join(', ');
  if (usable.length > 0) return ok(id, `${usable.length} usable keys at JWKS_URL: ${algorithms}.`);
  const symmetric = keys.some((key) => (key as Jwk | null)?.kty === 'oct');
  return fault(
    id,
    symmetric
      ? 'JWKS_URL has only symmetric keys, which whoever can verify with could sign with.'
      : `JWKS_URL has no key that verifies signatures, of ${keys.length} in all.`,
    'Let the identity provider sign with RS256, ES256 or EdDSA.',
  );
}

interface Jwk {
  kty?: string;
  alg?: string;
  use?: string;
}

function isUsable(key: unknown): key is Jwk {
  const { kty, use, alg } = (key ?? {}) as Jwk;
  return (
    ['RSA', 'EC', 'OKP'].includes(kty ?? '') &&
    use !== 'enc' &&
    (alg === undefined || /^((RS|PS|ES)(256|384|512)|EdDSA|Ed25519)$/.test(alg))
  );
}

function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError') return 'no answer within 3 s';
  return error instanceof SyntaxError ? 'it answers something that is no JSON' : fetchFailure(error);
}
