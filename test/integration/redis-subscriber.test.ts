import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, type RedisConnection } from '../../src/store/connection.ts';
import { redisSubscriber } from '../../src/store/redis-subscriber.ts';
import { parseRedisUrl } from '../../src/store/redis-url.ts';
import { until } from '../support/e2e-until.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';

let server: RedisServer;
let connection: RedisConnection;
beforeAll(async () => {
  server = await startRedisServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  connection = connect({
    url: server.url,
    commandTimeout: 2000,
    onState: (state) => state === 'connected' && resolve(),
  });
  await promise;
});
afterAll(async () => {
  await connection?.close();
  await server?.dispose();
});

function open() {
  const heard: string[] = [];
  const faults: unknown[] = [];
  const state = { resumed: 0 };
  const subscriber = redisSubscriber({
    address: parseRedisUrl(server.url),
    tls: undefined,
    commandTimeout: 2000,
    pulse: 'pulse',
    beat: () => connection.command('PUBLISH', 'pulse', ''),
    onMessage: (channel, message) => heard.push(`${channel} ${message}`),
    onFault: (error) => faults.push(error),
    onResumed: () => state.resumed++,
  });
  return { subscriber, heard, faults, state };
}
const channelCount = async () =>
  Number(/pubsub_channels:(\d+)/.exec(String(await connection.command('INFO', 'stats')))?.[1]);
const channel = (n: number) => `wst:chat:a-room-that-somebody-made-up-${n}`;

test('of 120,000 channels each is heard again when the connection comes back', async () => {
  const many = 120_000;
  const { subscriber, heard, faults, state } = open();
  const subscribed = Array.from({ length: many }, (_, n) => subscriber.subscribe(channel(n)));
  await Promise.all(subscribed);
  expect(state.resumed).toBe(1);

  await connection.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await until(() => state.resumed === 2, 'all of them are subscribed to', 30);
  expect(faults).toEqual([]);
  expect(await channelCount()).toBe(many + 1);
  const some = [0, 999, 1000, 59_999, many - 1];
  for (const n of some) await connection.command('PUBLISH', channel(n), 'x');
  await until(() => heard.length === some.length, 'they are heard');
  expect(heard).toEqual(some.map((n) => `${channel(n)} x`));
  subscriber.close();
}, 60_000);

test('what comes and goes while channels are being subscribed to comes and goes', async () => {
  const many = 20_000;
  const { subscriber, heard, state } = open();
  const subscribed = Array.from({ length: many }, (_, n) => subscriber.subscribe(channel(n)));
  await subscribed[many / 2];
  expect(state.resumed).toBe(0);
  for (let n = 0; n < many; n += 2) subscriber.unsubscribe(channel(n));
  await subscriber.subscribe('new');
  await until(() => state.resumed === 1, 'the others are subscribed to');
  await until(async () => (await channelCount()) === many / 2 + 2, 'and those only');
  await connection.command('PUBLISH', 'new', 'x');
  await until(() => heard.length > 0, 'the new one is heard');
  subscriber.close();
});
