import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { Backplane, BackplaneLimits, Said } from '../../src/chat/backplane.ts';
import { until } from './e2e-until.ts';

/** What every driver of `Backplane` must do. @param open a backplane of which nobody else knows */
export function backplaneContract(
  name: string,
  open: (limits: BackplaneLimits) => Backplane | Promise<Backplane>,
): void {
  describe(`backplane contract: ${name}`, () => {
    const opened: Backplane[] = [];
    const openOne = async (history = 3) => {
      const backplane = await open({ history });
      opened.push(backplane);
      return backplane;
    };
    afterEach(async () => {
      for (const backplane of opened.splice(0)) await backplane.close();
    });
    const said = (text: string): Said => ({ id: randomUUID(), text });
    const alice = { sub: 'alice', username: 'Alice' };

    test('what is said is heard by all who hear the room, once, in order, and by nobody else', async () => {
      const backplane = await openOne(100);
      const heard: string[][] = [[], [], []];
      backplane.hear('a', ({ text }) => heard[0]?.push(text));
      backplane.hear('a', ({ text }) => heard[1]?.push(text));
      backplane.hear('b', ({ text }) => heard[2]?.push(text));
      const texts = Array.from({ length: 50 }, (_, n) => `{"n":${n}}`);
      await Promise.all(texts.map((text) => backplane.say('a', said(text), true)));
      await backplane.say('b', said('"to b"'), true);
      await until(
        () => heard[0]?.length === 50 && heard[1]?.length === 50 && heard[2]?.length === 1,
        'all is heard',
      );
      expect(heard).toEqual([texts, texts, ['"to b"']]);
    });

    test('who stops hearing hears nothing more, and the others do', async () => {
      const backplane = await openOne();
      const heard: string[] = [];
      const stop = backplane.hear('a', () => heard.push('first'));
      backplane.hear('a', () => heard.push('second'));
      stop();
      await backplane.say('a', said('1'), true);
      await until(() => heard.length > 0, 'it is heard');
      expect(heard).toEqual(['second']);
    });

    test('the history is the last that was kept, of this room, oldest first', async () => {
      const backplane = await openOne(3);
      for (const text of ['1', '2', '3', '4']) await backplane.say('a', said(text), true);
      await backplane.say('a', said('not kept'), false);
      await backplane.say('b', said('other'), true);
      expect((await backplane.history('a')).map(({ text }) => text)).toEqual(['2', '3', '4']);
      expect(await backplane.history('nowhere')).toEqual([]);
    });

    test('who begins to hear is not told what was said before', async () => {
      const backplane = await openOne();
      await backplane.say('a', said('before'), true);
      const heard: string[] = [];
      backplane.hear('a', ({ text }) => heard.push(text));
      await backplane.say('a', said('after'), true);
      await until(() => heard.length > 0, 'it is heard');
      expect(heard).toEqual(['after']);
    });

    test('somebody is there from the first arrival to the departure', async () => {
      const backplane = await openOne();
      expect(await backplane.members('a')).toEqual([]);
      expect(await backplane.arrive('a', alice)).toBe(true);
      expect(await backplane.arrive('a', alice)).toBe(false);
      expect(await backplane.members('a')).toEqual([alice]);
      expect(await backplane.depart('a', alice)).toBe(true);
      expect(await backplane.depart('a', alice)).toBe(false);
      expect(await backplane.members('a')).toEqual([]);
    });

    test('what is said again under the same id is heard once', async () => {
      const backplane = await openOne();
      const heard: string[] = [];
      backplane.hear('a', ({ text }) => heard.push(text));
      const first = said('1');
      await backplane.say('a', first, true);
      await backplane.say('a', first, true);
      await backplane.say('a', said('2'), true);
      await until(() => heard.includes('2'), 'the last is heard');
      expect(heard).toEqual(['1', '2']);
    });

    test('one subject with two names is there once, and leaves under either', async () => {
      const backplane = await openOne();
      const alicia = { sub: 'alice', username: 'Alicia' };
      expect(await backplane.arrive('a', alice)).toBe(true);
      expect(await backplane.arrive('a', alicia)).toBe(false);
      expect(await backplane.members('a')).toEqual([alice]);
      expect(await backplane.depart('a', alicia)).toBe(true);
      expect(await backplane.members('a')).toEqual([]);
      expect(await backplane.arrive('a', alicia)).toBe(true);
      expect(await backplane.members('a')).toEqual([alicia]);
    });

    test('names of rooms and people may hold anything that is no control character', async () => {
      const backplane = await openOne();
      for (const name of ['{a}', 'a b', '*', 'é:{', '}{']) {
        const heard: string[] = [];
        backplane.hear(name, ({ text }) => heard.push(text));
        await backplane.say(name, said('"x y"'), true);
        await until(() => heard.length > 0, `${name} is heard`);
        const who = { sub: `${name} {b}`, username: ': ü' };
        await backplane.arrive(name, who);
        expect(await backplane.members(name)).toEqual([who]);
        expect((await backplane.history(name)).map(({ text }) => text)).toEqual(['"x y"']);
      }
    });
  });
}
