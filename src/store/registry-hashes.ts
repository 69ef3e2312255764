import type { ListedSession } from '../sessions/registry.ts';
import type { RedisConnection } from './connection.ts';

/** Where the registry keeps what, and how its hashes are read. */
export interface RegistryHashes {
  /** The nodes, by the end of their lease. */
  readonly nodes: string;
  /** The sessions of a node, or of what stands for one. */
  ofNode(name: string): string;
  /** A subject's sessions. */
  forSubject(sub: string): string;
  all(key: string): Promise<ListedSession[]>;
  /** The session of a name, from each of the hashes that has it. */
  named(session_id: string, keys: readonly string[]): Promise<ListedSession[]>;
  /** Some of a hash. @param position `0` begins, and is where the end leads to */
  some(key: string, position: string): Promise<{ sessions: ListedSession[]; next: string }>;
}

/** @param prefix begins every key */
export function registryHashes(
  { command }: Pick<RedisConnection, 'command'>,
  prefix: string,
): RegistryHashes {
  const parsed = (values: readonly string[]) => values.map((value) => JSON.parse(value) as ListedSession);
  return {
    nodes: `${prefix}nodes`,
    ofNode: (name) => `${prefix}sessions-of:${name}`,
    forSubject: (sub) => `${prefix}sessions-for:${sub}`,
    all: async (key) => parsed((await command('HVALS', key)) as string[]),
    async named(session_id, keys) {
      const found = await Promise.all(keys.map((key) => command('HGET', key, session_id)));
      return parsed(found.filter((value) => typeof value === 'string'));
    },
    async some(key, position) {
      const [next, flat] = (await command('HSCAN', key, position, 'COUNT', 200)) as [string, string[]];
      return { sessions: parsed(flat.filter((_, index) => index % 2 === 1)), next };
    },
  };
}
