import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { type BrokerProcess, sharedStore, startBroker } from '../support/broker-process.ts';
import { ask, handshake } from '../support/e2e-raw-http.ts';

let broker: BrokerProcess;
let redis: Redis;
let key: string;
beforeAll(async () => {
  const env = sharedStore(inject('redisUrl'));
  key = `${env['KEY_PREFIX']}rooms:alice`;
  redis = new Redis(inject('redisUrl'));
  broker = await startBroker(env);
});
afterAll(async () => {
  redis?.disconnect();
  await broker?.stop();
});
beforeEach(() => redis.del(key));

const mint = async (body: object) => {
  const response = await fetch(`${broker.url}/tickets`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await broker.token()}` },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
};
const enter = async (ticket: string, room: string) => {
  const target = `/ws?ticket=${ticket}&room=${encodeURIComponent(room)}`;
  const { status, body } = await ask(broker.port, handshake({ target }));
  return [status, ...(body ? [body.error] : [])];
};

test('a set in Redis decides which rooms its subject may enter', async () => {
  await redis.sadd(key, 'lobby', 'tech talk');
  expect(await mint({ rooms: ['lobby', 'attic'] })).toEqual({
    status: 403,
    body: { error: 'room_forbidden', error_description: 'The room attic is not among those allowed.' },
  });

  const { ticket } = await broker.mint();
  expect(await enter(ticket, 'attic')).toEqual([403, 'room_forbidden']);
  expect(await enter(ticket, 'tech talk')).toEqual([101]);

  const { ticket: narrow } = await broker.mint({ rooms: ['lobby'] });
  expect(await enter(narrow, 'tech talk')).toEqual([403, 'room_forbidden']);
  expect(await enter(narrow, 'lobby')).toEqual([101]);
});

test('without a set, any room may be entered', async () => {
  expect(await enter((await broker.mint()).ticket, 'attic')).toEqual([101]);
});

test('a set is looked at when a ticket is minted, and not again', async () => {
  await redis.sadd(key, 'lobby', 'tech');
  const { ticket: before } = await broker.mint();
  await redis.srem(key, 'lobby');
  const { ticket: after } = await broker.mint();
  expect(await enter(after, 'lobby')).toEqual([403, 'room_forbidden']);
  expect(await enter(before, 'lobby')).toEqual([101]);
});

test('an empty member keeps a set from vanishing, and so its subject out of every room', async () => {
  await redis.sadd(key, '', 'lobby');
  await redis.srem(key, 'lobby');
  const { ticket } = await broker.mint();
  expect(await enter(ticket, 'lobby')).toEqual([403, 'room_forbidden']);
});
