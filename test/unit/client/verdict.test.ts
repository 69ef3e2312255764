import { expect, test } from 'vitest';
import { verdictOn } from '../../../src/client/verdict.ts';

const again = { atLeastMs: 0, exact: false };

test.each([
  [3003, 'revoked', true, { end: 'revoked' }],
  [3003, 'token_revoked', false, { end: 'revoked' }],
  [1008, 'another subject', true, { end: 'refused' }],
  [1008, 'room_forbidden', false, { end: 'refused' }],
  [1008, 'invalid_ticket', true, { end: 'refused' }],
  [1008, 'invalid_ticket', false, again],
  [1013, 'rate_limited', false, again],
  [3000, 'session ended', true, again],
  [1000, '', true, again],
  [1001, '', true, again],
  [1006, '', true, again],
  [1007, 'not JSON', true, again],
  [1009, '', true, again],
  [1011, 'internal_error', false, again],
  [1012, '{"reconnect_after_ms":1234}', true, { atLeastMs: 1234, exact: true }],
  [1012, '{"reconnect_after_ms":0}', true, { atLeastMs: 0, exact: true }],
  [1012, '{"reconnect_after_ms":1e9}', true, { atLeastMs: 300_000, exact: true }],
  [1012, '{"reconnect_after_ms":-5}', true, again],
  [1012, '{"reconnect_after_ms":"5"}', true, again],
  [1012, 'null', true, again],
  [1012, '', true, again],
  [1013, '{"reconnect_after_ms":1234}', true, again],
] as const)('%i %j, established: %j', (code, reason, established, verdict) => {
  expect(verdictOn(code, reason, established)).toEqual(verdict);
});
