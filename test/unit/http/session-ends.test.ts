import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestApp, testApp } from '../../support/app.ts';
import { keyOf, serviceKeysFile } from '../../support/service-keys.ts';

let broker: TestApp;
beforeAll(async () => {
  const keys = serviceKeysFile({ root: 'tickets:mint,tickets:redeem,revoke,sessions:read' });
  // A millisecond later each time it is asked: what is minted in that of a revocation is revoked.
  let asked = 0;
  const now = () => Date.now() + ++asked;
  broker = await testApp({ env: { SERVICE_KEYS_FILE: keys, LOGIN_LIMIT: '3' }, now });
});
afterAll(() => broker.close());

const root = { authorization: `Bearer ${keyOf('root')}` };
const call = (method: 'GET' | 'POST' | 'DELETE', url: string, headers: object, payload?: object) =>
  broker.app.inject({ method, url, headers: { ...headers }, ...(payload && { payload }) });
const minted = async (sub: string) => (await call('POST', '/tickets', root, { sub })).json().ticket;
const redeemed = async (ticket: string) =>
  (await call('POST', '/tickets/redeem', root, { ticket })).json().session_id as string;
const listed = async (sub: string) =>
  (await call('GET', `/sessions?sub=${sub}`, root)).json().sessions as object[];

test('what is revoked is not listed, though nobody tells that it has closed, and counts once', async () => {
  await redeemed(await minted('bob'));
  await redeemed(await minted('bob'));
  expect(await listed('bob')).toHaveLength(2);
  const revoke = async () => (await call('POST', '/revocations', root, { sub: 'bob' })).json().sessions;
  expect(await revoke()).toBe(2);
  expect(await listed('bob')).toEqual([]);
  expect((await call('GET', '/sessions', root)).json().sessions).toEqual([]);
  const session_id = await redeemed(await minted('bob'));
  expect(await revoke()).toBe(1);
  const again = await call('POST', '/revocations', root, { session_id });
  expect(again.json().sessions).toBe(0);
});

test('a user may end as many sessions one by one as LOGIN_LIMIT says, and log out everywhere after that', async () => {
  const user = { authorization: `Bearer ${await broker.token()}` };
  const end = async () => {
    const { ticket } = (await call('POST', '/tickets', user)).json();
    return call('DELETE', `/sessions/${await redeemed(ticket)}`, user);
  };
  for (const left of [2, 1, 0]) {
    const { statusCode, headers } = await end();
    expect([statusCode, Number(headers['ratelimit-remaining'])]).toEqual([204, left]);
  }
  const answer = await end();
  expect([answer.statusCode, answer.json().error]).toEqual([429, 'rate_limited']);
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  expect(await listed('alice')).toHaveLength(1);
  expect(await broker.metrics()).toContain('ticket_broker_rate_limited_total{limit="login"} 1');

  expect((await call('DELETE', '/sessions', user)).statusCode).toBe(204);
  expect(await listed('alice')).toEqual([]);
});
