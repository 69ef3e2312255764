export interface RedisNode {
  host: string;
  port: number;
}

/** Where Redis is, and how it is run. */
export interface RedisAddress {
  mode: 'single' | 'sentinel' | 'cluster';
  tls: boolean;
  /** The server; or the sentinels; or some of the cluster's nodes. Never empty. */
  nodes: readonly [RedisNode, ...RedisNode[]];
  /** The name that the sentinels know the primary by; empty in other modes. */
  name: string;
  db: number;
  username: string | undefined;
  password: string | undefined;
  /** What the sentinels themselves ask for. */
  sentinelUsername: string | undefined;
  sentinelPassword: string | undefined;
}

const form =
  /^redis(?<tls>s)?(?:\+(?<mode>sentinel|cluster))?:\/\/(?:(?<username>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^/?#]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/;

/**
 * Reads `redis://`, `redis+sentinel://h1:p,h2:p/<name>[/db]` and `redis+cluster://h1:p,h2:p`, each with `rediss` for TLS.
 * Sentinels that want a password: `?sentinelUsername=…&sentinelPassword=…`. Not for `new URL()`, which knows no list of hosts. User name and password are percent-encoded.
 *
 * @throws Error saying what is wrong, without quoting the URL
 */
export function parseRedisUrl(url: string): RedisAddress {
  const groups = form.exec(url)?.groups;
  if (!groups) throw new Error('is not a redis://, rediss://, redis+sentinel:// or redis+cluster:// URL');
  const mode = (groups['mode'] ?? 'single') as RedisAddress['mode'];
  const [first, ...others] = (groups['hosts'] ?? '').split(',').map((host) => nodeOf(host, mode));
  if (!first) throw new Error('names no host');
  if (mode === 'single' && others.length > 0) {
    throw new Error('names several hosts: say redis+sentinel:// or redis+cluster://');
  }

  const path = (groups['path'] ?? '').split('/').filter(Boolean);
  const name = mode === 'sentinel' ? (path.shift() ?? '') : '';
  if (mode === 'sentinel' && name === '')
    throw new Error('must end in the name of the primary: redis+sentinel://host/name');
  if (mode === 'cluster' && path.length > 0)
    throw new Error('must not name a database: a cluster has only one');
  const [db = '0', ...rest] = path;
  if (!/^\d+$/.test(db) || rest.length > 0) throw new Error('must end in a database number');

  const query = new URLSearchParams(groups['query'] ?? '');
  const known = mode === 'sentinel' ? ['sentinelUsername', 'sentinelPassword'] : [];
  if ([...query.keys()].some((key) => !known.includes(key)))
    throw new Error('holds a parameter that is not known');

  return {
    mode,
    tls: groups['tls'] !== undefined,
    nodes: [first, ...others],
    name,
    db: Number(db),
    username: decoded(groups['username']),
    password: decoded(groups['password']),
    sentinelUsername: query.get('sentinelUsername') ?? undefined,
    sentinelPassword: query.get('sentinelPassword') ?? undefined,
  };
}

function nodeOf(text: string, mode: RedisAddress['mode']): RedisNode {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:@[\]\s]+))(?::(?<port>\d+))?$/.exec(text)?.groups;
  const port = Number(match?.['port'] ?? (mode === 'sentinel' ? 26_379 : 6379));
  const host = match?.['v6'] ?? match?.['host'];
  if (host === undefined || port > 65_535) throw new Error('holds something that is not host:port');
  return { host, port };
}

function decoded(text: string | undefined): string | undefined {
  if (!text) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error('holds a user name or password that is not percent-encoded');
  }
}
