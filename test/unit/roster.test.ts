import { expect, test } from 'vitest';
import { Roster } from '../../src/roster.ts';

const named = (name: string) => ({ name });
const names = (roster: Roster<{ name: string }>) => [...roster].map(({ name }) => name).sort();

test('has whoever is there, until they are struck off', () => {
  const roster = new Roster<{ name: string }>();
  const strikes = ['a', 'b', 'c', 'd'].map((name) => roster.add(named(name)));
  strikes[1]?.();
  expect(names(roster)).toEqual(['a', 'c', 'd']);
  strikes[3]?.();
  strikes[0]?.();
  expect(names(roster)).toEqual(['c']);
  expect(roster.size).toBe(1);
  const again = roster.add(named('b'));
  strikes[1]?.();
  expect(names(roster)).toEqual(['b', 'c']);
  again();
  strikes[2]?.();
  expect(names(roster)).toEqual([]);
  expect(roster.size).toBe(0);
});

test('keeps a thousand that come and go in any order apart', () => {
  const roster = new Roster<{ name: string }>();
  const there = new Map<string, () => void>();
  for (let n = 0; n < 10_000; n++) {
    const name = String((n * 7919) % 1000);
    const strikeOff = there.get(name);
    strikeOff?.();
    if (strikeOff) there.delete(name);
    else there.set(name, roster.add(named(name)));
  }
  expect(names(roster)).toEqual([...there.keys()].sort());
});

test('passes over who is struck off while it is gone through, and over newcomers', () => {
  const roster = new Roster<{ name: string }>();
  const strikes = new Map(['a', 'b', 'c'].map((name) => [name, roster.add(named(name))]));
  const met: string[] = [];
  for (const { name } of roster) {
    met.push(name);
    strikes.get('c')?.();
    roster.add(named('d'));
  }
  expect(met).toEqual(['a', 'b']);
});
