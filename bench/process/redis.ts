import { createClient } from 'redis';
import { startRedisServer } from '../../test/support/redis-server.ts';

/** What a Redis says of itself. CPU in microseconds since its start; memory in bytes. */
export interface RedisSample {
  cpuUs: number;
  memory: number;
}

/** A redis-server of one contender's own, so that its CPU time is that contender's. */
export interface MeasuredRedis {
  url: string;
  port: number;
  sample(): Promise<RedisSample>;
  /** Calls of each command since the last reset, those made by scripts included. */
  calls(): Promise<Map<string, number>>;
  resetCalls(): Promise<void>;
  empty(): Promise<void>;
  stop(): Promise<void>;
}

export async function startMeasuredRedis(): Promise<MeasuredRedis> {
  const server = await startRedisServer();
  const client = createClient({ url: server.url });
  client.on('error', () => {});
  await client.connect();
  return {
    url: server.url,
    port: server.port,
    async sample() {
      const info = await client.info();
      const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
      const seconds = field('used_cpu_sys') + field('used_cpu_user');
      return { cpuUs: seconds * 1e6, memory: field('used_memory') };
    },
    async calls() {
      const stats = await client.info('commandstats');
      const lines = stats.matchAll(/^cmdstat_([\w|-]+):calls=(\d+)/gm);
      return new Map([...lines].map(([, name = '', calls]) => [name, Number(calls)]));
    },
    async resetCalls() {
      await client.configResetStat();
    },
    async empty() {
      await client.flushAll();
    },
    async stop() {
      client.destroy();
      await server.dispose();
    },
  };
}
