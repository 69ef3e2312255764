import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { docker, eventually, type Stack, startStack } from './stack.ts';
import { register, type Visitor } from './visitor.ts';

const limits = { ATTEMPT_LIMIT: '100000', LOGIN_LIMIT: '100000', MINT_LIMIT: '100000' };

let stack: Stack;
let alice: Visitor;
let bob: Visitor;

beforeAll(async () => {
  stack = await startStack(limits);
  alice = await register(stack, 'alice');
  bob = await register(stack, 'bob');
});
afterEach(() => {
  alice?.leave();
  bob?.leave();
});
afterAll(() => stack?.down());

const untilAdmitted = (visitor: Visitor) =>
  eventually(async () => {
    const knock = await visitor.knock(await visitor.mint(await visitor.login()));
    expect(knock.status).toBe(101);
  });

describe('Redis', () => {
  test('knows nobody without a password, and the nodes may do what they need', async () => {
    const inside = (script: string) => stack.compose(['exec', '-T', 'redis', 'sh', '-c', `${script} 2>&1`]);
    const url = await stack.compose(['exec', '-T', 'ws', 'sh', '-c', 'cat $REDIS_URL_FILE']);
    const { username, password } = new URL(url);
    const asBroker = (command: string) =>
      inside(`REDISCLI_AUTH=${password} redis-cli --user ${username} ${command}`);

    expect(await inside('redis-cli ping')).toMatch(/^NOAUTH/);
    expect(await inside('redis-cli --user default --pass x ping')).toMatch(/WRONGPASS|NOAUTH/);
    expect(await asBroker('get wst:nothing')).toBe('\n');
    for (const command of [
      'flushall',
      'keys "*"',
      'config get requirepass',
      'acl list',
      'monitor',
      'shutdown',
    ]) {
      expect(await asBroker(command)).toMatch(/^NOPERM.*run the/);
    }
    expect(await asBroker('get other:key')).toMatch(/^NOPERM.*key/);
    expect(await asBroker('set other:key 1')).toMatch(/^NOPERM.*key/);
    expect(await inside('operator config get maxmemory-policy')).toBe('maxmemory-policy\nnoeviction\n');
  });

  test('that restarts while no node lives still knows who is revoked and who may refresh', async () => {
    const key = randomBytes(32).toString('hex');
    const line = `backend:${createHash('sha256').update(key).digest('hex')}:revoke\n`;
    await stack.compose(
      ['exec', '-T', 'http', 'sh', '-c', 'cat >>/var/lib/ticket-broker/accounts/service-keys'],
      line,
    );
    const post = (path: string, body: object | URLSearchParams, bearer?: string) =>
      fetch(stack.url + path, {
        method: 'POST',
        headers: {
          ...(!(body instanceof URLSearchParams) && { 'content-type': 'application/json' }),
          ...(bearer && { authorization: `Bearer ${bearer}` }),
        },
        body: body instanceof URLSearchParams ? body : JSON.stringify(body),
      });

    const token = await alice.login();
    const { refresh_token } = await bob.loginWithRefresh();
    const unused = await bob.mint(await bob.login());
    const reason = randomBytes(8).toString('hex');
    await eventually(async () => {
      expect((await post('/revocations', { sub: 'alice', reason }, key)).status).toBe(200);
    });
    // What is younger than a second may be lost with the power, not with the process.
    await stack.compose(['kill', 'http', 'ws']);
    await stack.compose(['kill', 'redis']);
    await stack.compose(['up', '-d']);
    await untilAdmitted(bob);
    expect(await stack.compose(['logs', 'redis'])).not.toContain('CRITICAL');

    const refused = await post('/tickets', {}, token);
    expect([refused.status, await refused.json()]).toMatchObject([401, { error: 'token_revoked' }]);
    const feed = await fetch(`${stack.url}/revocations`, {
      headers: { authorization: `Bearer ${key}`, 'last-event-id': 'from the beginning' },
      signal: AbortSignal.timeout(10_000),
    });
    const reader = feed.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes(reason)) text += (await reader?.read())?.value ?? '';
    await reader?.cancel();

    const refreshed = await post(
      '/token',
      new URLSearchParams({ grant_type: 'refresh_token', refresh_token }),
    );
    expect([refreshed.status, await refreshed.json()]).toMatchObject([200, { token_type: 'bearer' }]);
    // The price of the promise: it was minted before.
    expect((await bob.knock(unused)).status).toBe(401);
    await untilAdmitted(alice);
  });

  test('that ends is started again', async () => {
    await stack.compose(['exec', '-T', 'redis', 'operator', 'shutdown', 'nosave']).catch(() => {});
    await untilAdmitted(bob);
  });
});

test('any container may be killed under load: no ticket opens twice, and everybody comes back', async () => {
  const outcomes: { ticket: string; admitted: number; text: string; ended: number }[] = [];
  let going = true;
  const token = await bob.login();
  const round = async () => {
    const minted = await bob.mint(token);
    const both = await Promise.allSettled([bob.knock(minted, 'url'), bob.knock(minted, 'subprotocol')]);
    const ends = both.map((one) => (one.status === 'fulfilled' ? one.value.status : 'cut off'));
    const text = ends.map(String).sort().join(' and ');
    outcomes.push({
      ticket: minted.ticket_id,
      admitted: ends.filter((end) => end === 101).length,
      text,
      ended: performance.now(),
    });
    bob.leave();
    return text;
  };
  const traffic = Array.from({ length: 3 }, async () => {
    while (going) await round().catch(() => sleep(50));
  });
  const inTurn = [
    ...(await stack.containers('http')),
    ...(await stack.containers('ws')),
    ...(await stack.containers('redis')),
    ...(await stack.containers('lb')),
  ];
  expect(inTurn).toHaveLength(6);
  const gaps: number[] = [];
  for (const container of inTurn) {
    await docker('kill', container);
    const killed = performance.now();
    await sleep(1000);
    await docker('start', container);
    const started = performance.now();
    let back: number | undefined;
    await eventually(async () => {
      back = outcomes.find(({ admitted, ended }) => admitted === 1 && ended > started)?.ended;
      expect(back).toBeDefined();
    });
    gaps.push(Math.round((back ?? 0) - killed));
  }
  going = false;
  await Promise.all(traffic);

  const tally: Record<string, number> = {};
  for (const { text } of outcomes) tally[text] = (tally[text] ?? 0) + 1;
  console.log('both sockets of a ticket:', tally, `back after each kill: ${gaps.join(', ')} ms`);
  expect(outcomes.filter(({ admitted }) => admitted > 1)).toEqual([]);
  expect(tally['101 and 401']).toBeGreaterThan(20);
  await eventually(async () => expect(await round()).toBe('101 and 401'));
});
