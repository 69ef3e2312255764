import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Traffic {
  /** Times that something was asked after an answer, and answered. */
  roundTrips: number;
  commands: number;
}

/** Stands between a program and its Redis and counts how often the one waits for the other. */
export interface CountingProxy {
  port: number;
  /** What went over it since it was asked last. */
  take(): Traffic;
  stop(): Promise<void>;
}

/** The connection that waits for the feed is not counted: it waits for other reasons. */
const waits = /\r\nblock\r\n/i;
const command = /\*\d+\r\n\$\d+\r\n/g;

export async function startCountingProxy(redisPort: number): Promise<CountingProxy> {
  const connections = new Set<Socket>();
  let traffic: Traffic = { roundTrips: 0, commands: 0 };

  const server = createServer((client) => {
    const redis = connect(redisPort, '127.0.0.1');
    let counted = true;
    let asked = false;
    client.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      if (waits.test(text)) counted = false;
      if (counted) traffic.commands += text.match(command)?.length ?? 0;
      asked = true;
      redis.write(chunk);
    });
    redis.on('data', (chunk) => {
      if (counted && asked) traffic.roundTrips++;
      asked = false;
      client.write(chunk);
    });
    for (const [one, other] of [
      [client, redis],
      [redis, client],
    ] as const) {
      one.setNoDelay();
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        connections.delete(one);
      });
      connections.add(one);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    take() {
      const taken = traffic;
      traffic = { roundTrips: 0, commands: 0 };
      return taken;
    },
    async stop() {
      for (const socket of connections) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
