import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { enlisting } from '../../../src/store/enlisting.ts';

/** A cluster one of whose primaries is away. */
function cluster({ away = [] as string[], leaseFails = false } = {}) {
  const written: string[][] = [];
  const connection = {
    sharded: true,
    async run(_script: string, keys: string | readonly string[], ...args: (string | number)[]) {
      const [key = ''] = keys;
      if (away.includes(key)) throw new BrokerError('store_unavailable');
      written.push([key, ...args.filter((_, index) => index % 3 === 0).map(String)]);
      return [];
    },
  };
  const beforehand = async () => {
    if (leaseFails) throw new BrokerError('store_unavailable');
  };
  return { written, ...enlisting(connection, beforehand) };
}

const entry = (key: string, session_id: string) => ({ key, session_id, json: '{}', ttlMs: 1000 });

describe('entries of the registry', () => {
  test('are written together, each key on its own, in the order of the calls', async () => {
    const { enter, written } = cluster();
    await Promise.all([enter(entry('a', '1'), entry('b', '1')), enter(entry('a', '2'))]);
    expect(written).toEqual([
      ['a', '1', '2'],
      ['b', '1'],
    ]);
  });

  test('fail for those only whose primary is away', async () => {
    const { enter, written, settled } = cluster({ away: ['b'] });
    const failing = enter(entry('a', '1'), entry('b', '1'));
    const good = enter(entry('a', '2'));
    await expect(failing).rejects.toMatchObject({ code: 'store_unavailable' });
    await good;
    expect(written).toEqual([['a', '1', '2']]);
    await settled();
  });

  test('are not written where the lease cannot be renewed', async () => {
    const { enter, written } = cluster({ leaseFails: true });
    await expect(enter(entry('a', '1'))).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(written).toEqual([]);
  });
});
