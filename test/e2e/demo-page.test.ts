import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { type BrokerProcess, secretsIn, startBroker } from '../support/broker-process.ts';
import { openChat } from '../support/chat-socket.ts';
import { launchChromium } from '../support/e2e-browser.ts';
import { type Stack, startStack } from '../support/e2e-stack.ts';

// Screenshots for people, where somebody asks for them.
const shots = process.env['SCREENSHOTS'];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

const visits: Visit[] = [];
afterEach(async () => {
  for (const { page } of visits.splice(0)) await page.context().close();
});

interface Visit {
  page: Page;
  /** The URLs that it has asked for. */
  requests: string[];
  /** What its console holds, and what its policy has kept it from. */
  complaints: string[];
}

async function visit(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', ...options });
  const page = await context.newPage();
  const seen: Visit = { page, requests: [], complaints: [] };
  visits.push(seen);
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('websocket', (socket) => seen.requests.push(socket.url()));
  page.on('pageerror', (error) => seen.complaints.push(error.message));
  page.on('console', (message) => seen.complaints.push(message.text()));
  await page.exposeFunction('complain', (text: string) => seen.complaints.push(text));
  await page.addInitScript(() => {
    const { document, complain } = globalThis as unknown as {
      document: EventTarget;
      complain: (text: string) => void;
    };
    document.addEventListener('securitypolicyviolation', (event) => {
      const { violatedDirective, blockedURI } = event as Event &
        Record<'violatedDirective' | 'blockedURI', string>;
      complain(`policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  await page.goto(url);
  return seen;
}

const eventually = <T>(ask: () => T) => expect.poll(ask);
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
/** As a person would, who does not know better: Playwright waits for a button that says it is disabled. */
const pressEarly = (page: Page, name: string) =>
  page.getByRole('button', { name, exact: true }).click({ force: true });
const result = (page: Page, step: number) => page.locator(`#result-${step}`);
const says = async (page: Page, step: number, text: string | RegExp) => {
  await eventually(() => result(page, step).innerText()).toMatch(text);
  return result(page, step).innerText();
};
const pane = (page: Page, name: 'a' | 'b') => page.locator(`#pane-${name}`);
const stateOf = (page: Page, name: 'a' | 'b') => pane(page, name).locator('.state').innerText();
const nodeOf = (page: Page, name: 'a' | 'b') => pane(page, name).locator('.facts code').first().innerText();
const heard = (page: Page, name: 'a' | 'b') => pane(page, name).getByRole('log').innerText();
const say = async (page: Page, name: 'a' | 'b', text: string) => {
  await page.getByLabel(`Message from socket ${name.toUpperCase()}`).fill(text);
  await pane(page, name).getByRole('button', { name: 'Send' }).click();
};
const drawn = (page: Page) => page.locator('#traffic li').allTextContents();
const shoot = async (page: Page, name: string) => {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
};

/** The whole story, by the buttons. @returns the ticket_id of the ticket that was used twice */
async function goThrough({ page, complaints }: Visit, logIn: (page: Page) => Promise<void>): Promise<string> {
  // Pressed too early, a button says what comes first.
  await pressEarly(page, 'Get a ticket');
  await says(page, 2, 'Log in first.');
  await pressEarly(page, 'Connect with this ticket');
  await says(page, 3, 'Get a ticket first.');

  await logIn(page);
  await says(page, 1, 'You are demo, until');
  await press(page, 'Get a ticket');
  await says(page, 2, 'Good for one connection');
  expect(await page.locator('#ticket-masked').innerText()).toMatch(/^wst_[\w-]{4}••••$/);
  const left = () => page.getByRole('timer').innerText().then(Number);
  expect(await left()).toBeGreaterThan(20);
  await eventually(left).toBeLessThan(30);
  const ticketId = await page.locator('#ticket-id').innerText();

  await press(page, 'Connect with this ticket');
  const session = /session ([\w-]{22})/.exec(await says(page, 3, 'Open: session'))?.[1] ?? 'none';
  expect(await page.locator('#ticket-stamp').innerText()).toMatch(/used/i);
  expect(complaints).toEqual([]);

  await press(page, 'Use the same ticket again');
  const told = await says(page, 4, 'Refused.');
  expect(told).toContain('The socket that it opened the first time is still open.');
  expect(told).toContain('closed with 1006');
  expect(told).toContain(`Used, for session ${session} on node `);
  expect(told).toContain(ticketId);
  expect(await stateOf(page, 'a')).toBe('open');
  // All that Chromium tells of a refused handshake, and not to the page.
  expect(complaints.splice(0)).toEqual([expect.stringMatching(/^WebSocket connection to .* failed: /)]);

  await pane(page, 'b').getByRole('button', { name: 'Connect with a new ticket' }).click();
  await eventually(() => stateOf(page, 'b')).toBe('open');
  await eventually(() => heard(page, 'b')).toContain('In the room: demo');
  await says(page, 5, /./);
  await say(page, 'a', 'Can you hear me?');
  await eventually(() => heard(page, 'b')).toContain('demo, A Can you hear me?');
  await say(page, 'b', '<b>Yes</b>');
  await eventually(() => heard(page, 'a')).toContain('demo, B <b>Yes</b>');

  await press(page, 'Revoke me');
  await says(
    page,
    6,
    /Both sockets closed with 3003 within \d+ ms, and the token is refused: 401 token_revoked/,
  );
  expect(await Promise.all([stateOf(page, 'a'), stateOf(page, 'b')])).toEqual([
    'closed · 3003',
    'closed · 3003',
  ]);
  await pressEarly(page, 'Reconnect both with new tickets');
  await says(page, 7, 'Log in first');
  // The token that was shown once more, to see that it is refused.
  expect(complaints.splice(0)).toEqual([expect.stringContaining('401')]);
  return ticketId;
}

async function comeBack({ page, complaints }: Visit): Promise<void> {
  await press(page, 'Reconnect both with new tickets');
  await says(page, 7, 'Both are back');
  expect(await Promise.all([stateOf(page, 'a'), stateOf(page, 'b')])).toEqual(['open', 'open']);
  // Earlier messages are there, from the history of the room.
  await eventually(() => heard(page, 'a')).toContain('demo, A Can you hear me?');
  expect(complaints).toEqual([]);
}

const withTestToken = (page: Page) => press(page, 'Use the test token');

/** That it has asked nobody else, and that neither it nor what it asked for holds a secret. */
async function expectDiscretion({ page, requests }: Visit, url: string): Promise<void> {
  const { host } = new URL(url);
  expect(requests.length).toBeGreaterThan(10);
  expect(requests.filter((asked) => new URL(asked).host !== host)).toEqual([]);
  expect(secretsIn(requests.join('\n'))).toEqual([]);
  expect(secretsIn(await page.content())).toEqual([]);
}

const replays = (brokers: readonly BrokerProcess[]) =>
  brokers.flatMap((broker) => broker.decisions()).filter(({ reason }) => reason === 'replayed');

describe('on a first npm start', () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await startBroker({ USERS_FILE: '', JWT_SECRET: '', LOGIN_LIMIT: '0' });
  });
  afterAll(() => broker?.stop());

  test('tells its whole story', async () => {
    const visited = await visit(`${broker.url}/`);
    const ticketId = await goThrough(visited, withTestToken);
    await withTestToken(visited.page);
    await comeBack(visited);
    expect(await result(visited.page, 5).innerText()).toContain('One process holds both.');
    // As the page said what to look for.
    await eventually(() => replays([broker])).toEqual([
      expect.objectContaining({ ticket_id: ticketId, granted: false }),
    ]);

    const rows = await drawn(visited.page);
    for (const row of [
      /^Browser to HTTP tier: GET \/test-token$/,
      /^HTTP tier to Browser: 201 in \d+ ms · ticket: wst_[\w-]{4}••••$/,
      /^Browser to WebSocket tier: GET \/ws\?room=demo · ticket\.wst_[\w-]{4}••••$/,
      /^WebSocket tier to Memory: take the record out/,
      /^WebSocket tier to Browser: refused · close 1006$/,
      /^WebSocket tier to Browser: close 3003 · socket B · logged out everywhere$/,
    ]) {
      expect(rows).toContainEqual(expect.stringMatching(row));
    }
    await expectDiscretion(visited, broker.url);
  });

  test('takes the password that was printed, and says so when it is wrong', async () => {
    const { page } = await visit(`${broker.url}/`);
    await page.getByText('Or with a password').click();
    const logIn = async (password: string) => {
      await page.getByLabel('Password').fill(password);
      await page.getByLabel('Password').press('Enter');
    };
    await logIn('wrong');
    await says(page, 1, '401 invalid_credentials Wrong username or password.');
    await logIn(/password (\S+)/.exec(broker.output())?.[1] ?? 'none was printed');
    await says(page, 1, 'You are demo');
    expect(await page.getByLabel('Password').inputValue()).toBe('');
  });

  test('shows a ticket expire', async () => {
    const short = await startBroker({ USERS_FILE: '', TICKET_TTL: '2' });
    try {
      const { page } = await visit(`${short.url}/`);
      await withTestToken(page);
      await says(page, 1, 'You are demo');
      await press(page, 'Get a ticket');
      await says(page, 2, 'It has expired, unused');
      await press(page, 'Connect with this ticket');
      await says(page, 3, /refused: close 1006\. The ticket had expired/);
    } finally {
      await short.stop();
    }
  });

  test('reads why it was refused where WS_REJECT=close, and says where there is no chat', async () => {
    const closing = await startBroker({ USERS_FILE: '', WS_REJECT: 'close', CHAT: 'off' });
    try {
      const { page } = await visit(`${closing.url}/`);
      await withTestToken(page);
      await says(page, 1, 'You are demo');
      await press(page, 'Get a ticket');
      await says(page, 2, 'Good for');
      await press(page, 'Connect with this ticket');
      await says(page, 3, 'Open');
      await eventually(() => heard(page, 'a')).toContain('This node runs no chat');
      await press(page, 'Use the same ticket again');
      await says(page, 4, 'closed with 1008 invalid_ticket');
    } finally {
      await closing.stop();
    }
  });

  test('is not put out by what others say in the room', async () => {
    const { test_token } = (await (await fetch(`${broker.url}/test-token`)).json()) as { test_token: string };
    const minted = await fetch(`${broker.url}/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${test_token}` },
    });
    const { url } = (await minted.json()) as { url: string };
    const stranger = await openChat(`${url}&room=demo`);
    const odd = [
      { payload: { text: { toString: 1 } } },
      { payload: { text: 'odd', from: { toString: 1 } } },
      { payload: { text: ['no text'] } },
      { payload: null },
      { payload: 'text' },
      { error: 'unknown_type' },
    ];
    const sayAll = async () => {
      for (const message of odd) {
        stranger.say({ type: 'message', ...message });
        await stranger.next('message');
      }
    };
    await sayAll();
    const { page, complaints } = await visit(`${broker.url}/`);
    await withTestToken(page);
    await says(page, 1, 'You are demo');
    await pane(page, 'a').getByRole('button', { name: 'Connect with a new ticket' }).click();
    await eventually(() => heard(page, 'a')).toContain('In the room: demo');
    await sayAll();
    stranger.say({ type: 'message', payload: { text: 'At last.' } });
    await eventually(() => heard(page, 'a')).toContain('demo At last.');
    expect((await heard(page, 'a')).match(/demo odd/g)).toHaveLength(2);
    expect(await heard(page, 'a')).not.toMatch(/no text|no chat/);
    expect(complaints).toEqual([]);
    stranger.socket.close();
  });

  test('says so when the broker is gone', async () => {
    const passing = await startBroker({ USERS_FILE: '', DRAIN_TIMEOUT: '0' });
    const { page } = await visit(`${passing.url}/`);
    await passing.stop();
    await withTestToken(page);
    await says(page, 1, 'no answer The broker does not answer.');
  });

  test.each([
    ['light', 1280, 900],
    ['dark', 1280, 900],
    ['light', 360, 740],
    ['dark', 360, 740],
  ] as const)('axe finds nothing, %s, %i wide', async (colorScheme, width, height) => {
    const visited = await visit(`${broker.url}/`, {
      colorScheme,
      viewport: { width, height },
      reducedMotion: 'reduce',
    });
    const { page } = visited;
    const faults = async () => {
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() =>
        (globalThis as unknown as { axe: { run: () => Promise<AxeResults> } }).axe.run(),
      );
      return violations.map(
        ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html).join()}`,
      );
    };
    expect(await faults()).toEqual([]);
    await page.getByText('Or with a password').click();
    await goThrough(visited, withTestToken);
    expect(await faults()).toEqual([]);
    await withTestToken(page);
    await comeBack(visited);
    expect(await faults()).toEqual([]);
    // Nothing sticks out to the side.
    const widths = 'document.documentElement.scrollWidth + "/" + innerWidth';
    expect(await page.evaluate(widths)).toBe(`${width}/${width}`);
    await shoot(page, `${colorScheme}-${width}`);
  });

  test('goes by the keyboard alone', async () => {
    const { page } = await visit(`${broker.url}/`);
    const tabTo = async (name: string) => {
      for (let i = 0; i < 40; i++) {
        await page.keyboard.press('Tab');
        if ((await page.locator(':focus').innerText()).trim() === name) return;
      }
      throw new Error(`no way to ${name}`);
    };
    for (const [name, step, text] of [
      ['Use the test token', 1, 'You are demo'],
      ['Get a ticket', 2, 'Good for'],
      ['Connect with this ticket', 3, 'Open'],
      ['Use the same ticket again', 4, 'Refused'],
    ] as const) {
      await tabTo(name);
      await page.keyboard.press('Enter');
      await says(page, step, text);
    }
  });
});

describe('on two HTTP nodes and two WebSocket nodes behind the deployed nginx', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack(inject('redisUrl'), { DEMO: 'on' });
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test('tells its whole story over TLS, and the two sockets are on two nodes', async () => {
    const visited = await visit(`${stack.url}/`);
    const { page } = visited;
    const ticketId = await goThrough(visited, withTestToken);
    await withTestToken(page);
    await comeBack(visited);
    expect(await result(page, 5).innerText()).toContain('Two sockets on two nodes');
    expect(await nodeOf(page, 'a')).not.toBe(await nodeOf(page, 'b'));
    expect(await drawn(page)).toContainEqual(expect.stringMatching(/^WebSocket tier to Redis: publish/));
    await eventually(() => replays(stack.ws)).toEqual([expect.objectContaining({ ticket_id: ticketId })]);
    await expectDiscretion(visited, stack.url);
    expect(secretsIn(await stack.accessLog())).toEqual([]);
    await shoot(page, 'stack');
  });

  test('says loudly that anyone is let in, and where to', () => {
    for (const node of stack.http)
      expect(node.output()).toMatch(/"level":"warn".*DEMO=on.*into the room demo/);
    for (const node of stack.ws) expect(node.output()).not.toContain('DEMO');
  });
});

test('GET /test-token opens a socket, as seed 001 does it', async () => {
  const broker = await startBroker({ USERS_FILE: '', WS_ACCEPT: 'ticket,token' });
  try {
    const { test_token, note } = (await (await fetch(`${broker.url}/test-token`)).json()) as Record<
      string,
      string
    >;
    expect(note).toContain('for testing only');
    const socket = new WebSocket(`${broker.url.replace('http', 'ws')}/ws?token=${test_token}`);
    const messages: Record<string, unknown>[] = [];
    socket.addEventListener('message', ({ data }) => messages.push(JSON.parse(data)));
    await eventually(() => messages).toHaveLength(1);
    socket.send('{"type":"test","payload":{"message":"Hello"}}');
    await eventually(() => messages).toHaveLength(2);
    expect(messages[1]).toMatchObject({ type: 'test', user: 'demo', payload: { message: 'Hello' } });
    socket.close();
  } finally {
    await broker.stop();
  }
});
