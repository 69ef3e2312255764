import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { memoryBackplane } from '../../../src/store/memory-backplane.ts';
import { backplaneContract } from '../../support/backplane-contract.ts';

backplaneContract('memory', memoryBackplane);

const said = () => ({ id: randomUUID(), text: 'x' });
const who = { sub: 'alice', username: 'Alice' };
const rooms = (count: number) => Array.from({ length: count }, (_, n) => `room ${n}`);

test('a thousand rooms that nobody is in keep their history, those left last, however many are in use', async () => {
  const backplane = memoryBackplane({ history: 3 });
  for (const room of rooms(1500)) backplane.hear(`used ${room}`, () => {});
  for (const room of rooms(1001)) {
    await backplane.arrive(room, who);
    await backplane.say(room, said(), true);
  }
  for (const room of rooms(1001).reverse()) await backplane.depart(room, who);
  expect(await backplane.history('room 1000')).toEqual([]);
  expect(await backplane.history('room 999')).toHaveLength(1);
  expect(await backplane.history('room 0')).toHaveLength(1);
});

test('rooms in which things are said that nobody hears do not pile up', async () => {
  const backplane = memoryBackplane({ history: 3 });
  for (const room of rooms(1001)) await backplane.say(room, said(), true);
  expect(await backplane.history('room 0')).toEqual([]);
  expect(await backplane.history('room 1')).toHaveLength(1);
});

test('many can leave at once', () => {
  const backplane = memoryBackplane({ history: 3 });
  const stops = rooms(40_000).map((room) => backplane.hear(room, () => {}));
  const begun = performance.now();
  for (const stop of stops) stop();
  expect(performance.now() - begun).toBeLessThan(1000);
});
