import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { memoryBackplane } from '../../../src/store/memory-backplane.ts';
import { backplaneContract } from '../../support/backplane-contract.ts';

backplaneContract('memory', memoryBackplane);

const said = () => ({ id: randomUUID(), text: 'x' });
const rooms = (count: number) => Array.from({ length: count }, (_, n) => `room ${n}`);

test('the five hundred rooms that were spoken in last keep their history, whoever is in them', async () => {
  const backplane = memoryBackplane({ history: 3 });
  await backplane.say('in use', said(), true);
  for (const room of rooms(600)) {
    backplane.hear(room, () => {});
    await backplane.say(room, said(), true);
    if (room === 'room 300') await backplane.say('in use', said(), true);
  }
  for (const room of ['room 0', 'room 100']) expect(await backplane.history(room)).toEqual([]);
  for (const room of ['room 101', 'room 599']) expect(await backplane.history(room)).toHaveLength(1);
  expect(await backplane.history('in use')).toHaveLength(2);
});

test('a history is kept for a day after what was said last', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const backplane = memoryBackplane({ history: 3 });
  const day = 86_400_000;
  await backplane.say('a', said(), true);
  vi.advanceTimersByTime(day - 1);
  await backplane.say('a', said(), true);
  vi.advanceTimersByTime(day - 1);
  expect(await backplane.history('a')).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(await backplane.history('a')).toEqual([]);
  await backplane.say('a', said(), true);
  expect(await backplane.history('a')).toHaveLength(1);
  vi.useRealTimers();
});

test('many can leave at once', () => {
  const backplane = memoryBackplane({ history: 3 });
  const stops = rooms(40_000).map((room) => backplane.hear(room, () => {}));
  // Of this process' own time: others may have the processor for longer.
  const begun = process.cpuUsage();
  for (const stop of stops) stop();
  expect(process.cpuUsage(begun).user / 1000).toBeLessThan(1000);
});
