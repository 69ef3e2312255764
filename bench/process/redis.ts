import { createClient } from 'redis';
import { startRedisServer } from '../../test/support/redis-server.ts';

/** A redis-server of one contender's own, so that its CPU time is that contender's. */
export interface MeasuredRedis {
  url: string;
  port: number;
  /** Microseconds of CPU time since its start. */
  cpuUs(): Promise<number>;
  /** Bytes that it uses for what is in it. */
  memory(): Promise<number>;
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
  const fields = async (section: string) => {
    const info = await client.info(section);
    return (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
  };
  return {
    url: server.url,
    port: server.port,
    async cpuUs() {
      const field = await fields('cpu');
      return (field('used_cpu_sys') + field('used_cpu_user')) * 1e6;
    },
    memory: async () => (await fields('memory'))('used_memory'),
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
