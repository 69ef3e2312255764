import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { gathering } from '../../../src/store/gathering.ts';

/** Answers each call with its double, as late as it is told, and notes when it was sent what. */
function doubling({ answerAfterMs = 0, ms = 1, isShort = false } = {}) {
  const sent: { group: string; calls: number[] }[] = [];
  const call = gathering<number, number>(
    async (group, calls) => {
      sent.push({ group, calls });
      await sleep(answerAfterMs);
      if (calls.includes(13)) throw new Error('unlucky');
      return calls.map((number) => 2 * number);
    },
    { ms, isShort: () => isShort },
  );
  return { call, sent, groups: () => sent.map(({ calls }) => calls) };
}

describe('calls that are gathered', () => {
  test('go at once when they come alone, one after the other', async () => {
    const { call, groups } = doubling();
    for (const number of [1, 2, 3]) expect(await call('', number)).toBe(2 * number);
    expect(groups()).toEqual([[1], [2], [3]]);
  });

  test('share a sending when they come in one turn, and each has its own answer', async () => {
    const { call, groups } = doubling();
    expect(await Promise.all([call('', 1), call('', 2), call('', 3)])).toEqual([2, 4, 6]);
    expect(groups()).toEqual([[1, 2, 3]]);
  });

  test('wait for the answer that is under way', async () => {
    const { call, groups } = doubling({ answerAfterMs: 20 });
    const first = call('', 1);
    await sleep(5);
    await Promise.all([first, call('', 2), call('', 3)]);
    expect(groups()).toEqual([[1], [2, 3]]);
  });

  test('wait for more while there is no time for each', async () => {
    const { call, groups } = doubling({ ms: 300, isShort: true });
    await call('', 1);
    await Promise.all([call('', 2), sleep(5).then(() => call('', 3))]);
    expect(groups()).toEqual([[1], [2, 3]]);
  });

  test('wait for nothing while there is time, however many went before', async () => {
    const { call, groups } = doubling({ ms: 60_000 });
    await Promise.all([call('', 1), call('', 2)]);
    await Promise.all([call('', 3), call('', 4)]);
    expect(groups()).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test('do not wait any longer when there are many', async () => {
    const { call, groups } = doubling({ answerAfterMs: 50 });
    await Promise.all(Array.from({ length: 130 }, (_, number) => call('', 100 + number)));
    expect(groups().map(({ length }) => length)).toEqual([64, 64, 2]);
  });

  test('have nothing to do with those of another group', async () => {
    const { call, sent } = doubling();
    await Promise.all([call('a', 1), call('b', 2), call('a', 3)]);
    expect(sent.map(({ group, calls }) => [group, calls])).toEqual([
      ['a', [1, 3]],
      ['b', [2]],
    ]);
  });

  test('fail together, those that wait unsent, and later ones are sent again', async () => {
    const { call, groups } = doubling({ answerAfterMs: 10 });
    const unlucky = [call('', 13), call('', 1)];
    await sleep(5);
    const waiting = call('', 2);
    for (const failed of [...unlucky, waiting]) await expect(failed).rejects.toThrow('unlucky');
    expect(await call('', 3)).toBe(6);
    expect(groups()).toEqual([[13, 1], [3]]);
  });
});
