import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestApp, testApp } from '../../support/app.ts';
import { keyOf, serviceKeysFile } from '../../support/service-keys.ts';

let broker: TestApp;
beforeAll(async () => {
  broker = await testApp({ env: { SERVICE_KEYS_FILE: serviceKeysFile({ reader: 'sessions:read' }) } });
});
afterAll(() => broker.close());

const page = (cursor: string) =>
  broker.app.inject({
    url: '/sessions',
    query: { cursor },
    headers: { authorization: `Bearer ${keyOf('reader')}` },
  });

test.each([
  'x',
  'x:',
  ':0',
  'x:-1',
  'x:0 ',
  'x:1e3',
  'x\n:0',
  // No number that Redis can count to, which would answer that it cannot be reached.
  'x:99999999999999999999999',
  'x:18446744073709551616',
  `${'x'.repeat(256)}:0`,
])('%j is no cursor of a page of sessions', async (cursor) => {
  const answer = await page(cursor);
  expect([answer.statusCode, answer.json()]).toEqual([
    400,
    { error: 'invalid_request', error_description: expect.stringMatching(/cursor /) },
  ]);
});

test.each(['', 'host-0a1b2c3d:0', 'a:b:17', 'Zoë 🎟:9999999999999999999'])('%j may be one', async (cursor) => {
  const answer = await page(cursor);
  expect([answer.statusCode, answer.json()]).toEqual([200, { sessions: [] }]);
});
