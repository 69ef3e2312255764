import {
  type Login,
  type RefreshFamilies,
  type Rotation,
  retryWindowMs,
} from '../credentials/refresh-families.ts';
import type { RedisConnection } from './connection.ts';

export interface RedisFamiliesOptions {
  connection: RedisConnection;
  /** Begins every key. */
  prefix: string;
}

/** The families that all nodes share. */
export function redisFamilies({ connection, prefix }: RedisFamiliesOptions): RefreshFamilies {
  const keyOf = (family: string) => `${prefix}refresh:${family}`;
  return {
    async begin(family, login, ttlMs) {
      await connection.run('beginFamily', keyOf(family), JSON.stringify(login), ttlMs);
    },
    async rotate(family, generation, ttlMs) {
      const args = [generation, ttlMs, retryWindowMs];
      const [outcome, login = ''] = (await connection.run(
        'rotateFamily',
        keyOf(family),
        ...args,
      )) as string[];
      if (outcome === 'unknown') return { outcome };
      return { outcome, login: JSON.parse(login) as Login } as Rotation;
    },
    async end(family) {
      await connection.command('DEL', keyOf(family));
    },
  };
}
