import { expect, test } from 'vitest';
import { createOutbox } from '../../../src/client/outbox.ts';

test('takes as many as it may hold, and says so when it takes no more', () => {
  const outbox = createOutbox(2);
  expect(['a', 'b', 'c'].map(outbox.put)).toEqual([true, true, false]);
  expect(outbox.empty()).toEqual(['a', 'b']);
  expect(outbox.put('d')).toBe(true);
});

test('hands over in order, and keeps what is not taken', () => {
  const outbox = createOutbox(9);
  for (const message of ['a', 'b', 'c', 'd']) outbox.put(message);
  const taken: string[] = [];
  outbox.flush((message) => message !== 'c' && taken.push(message) > 0);
  expect(taken).toEqual(['a', 'b']);
  outbox.flush((message) => taken.push(message) > 0);
  expect(taken).toEqual(['a', 'b', 'c', 'd']);
  expect(outbox.empty()).toEqual([]);
});
