import { expect, test } from 'vitest';
import { isRoom } from '../../../src/tickets/room.ts';

const ticket = `wst_${'A'.repeat(43)}`;
const refreshToken = `wsr_${'A'.repeat(22)}.1.${'A'.repeat(43)}`;
const serviceKey = `wsk_${'A'.repeat(43)}`;
const jwt = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln';

test.each(['lobby', 'why?', 'wst_', 'a wst_short b', 'heyJude', 'räume/😀', 'x'.repeat(128)])(
  'a room may be called %j',
  (name) => {
    expect(isRoom(name)).toBe(true);
  },
);

test.each([
  ['nothing', ''],
  ['more than it may', 'x'.repeat(129)],
  ['a line break', 'a\nb'],
  ['a ticket', ticket],
  ['a ticket within', `lobby?ticket=${ticket}&x`],
  ['a refresh token', `lobby ${refreshToken}`],
  ['a ticket behind a line separator', `lobby\u2028${ticket}`],
  ['a service key', `lobby-${serviceKey}`],
  ['a JWT', `lobby ${jwt}`],
  ['no text', 7],
])('not what holds %s', (_what, name) => {
  expect(isRoom(name)).toBe(false);
});
