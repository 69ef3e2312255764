import { connect } from '../../src/store/connection.ts';
import type { RedisTls } from '../../src/store/redis-client.ts';

/** Adds rooms to those that a subject may enter. */
export type AllowRooms = (sub: string, rooms: readonly string[]) => Promise<void>;

/** As operators do it, with SADD, by a Redis user who may. */
export function roomSetsIn(url: string, { prefix = 'wst:', tls }: { prefix?: string; tls?: RedisTls } = {}) {
  const allow: AllowRooms = async (sub, rooms) => {
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const connection = connect({
      url,
      ...(tls && { tls }),
      commandTimeout: 2000,
      onState: (state) => state === 'connected' && resolve(),
    });
    await connected;
    await connection.command('SADD', `${prefix}rooms:${sub}`, ...rooms);
    await connection.close();
  };
  return allow;
}
