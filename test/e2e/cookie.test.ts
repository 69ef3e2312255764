import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type BrokerProcess, sharedStore, startBroker } from '../support/broker-process.ts';
import { launchChromium, type Site, startSite } from '../support/e2e-browser.ts';

const name = 'token';
let browser: Browser;
let named: Site;
let foreign: Site;
let broker: BrokerProcess;
let listing: BrokerProcess;
beforeAll(async () => {
  [browser, named, foreign] = await Promise.all([launchChromium(), startSite(), startSite()]);
  const env = { ...sharedStore(inject('redisUrl')), AUTH_COOKIE: name };
  [broker, listing] = await Promise.all([
    startBroker(env),
    startBroker({ ...env, ALLOWED_ORIGINS: named.origin }),
  ]);
});
afterAll(async () => {
  await browser?.close();
  named?.close();
  foreign?.close();
  await Promise.all([broker?.stop(), listing?.stop()]);
});

/** A visitor of these brokers who is logged in. */
const visitor = async (): Promise<BrowserContext> => {
  const context = await browser.newContext();
  const value = await broker.token();
  // A cookie is its host's, whatever the port: all pages here could send it.
  await context.addCookies([
    { name, value, domain: '127.0.0.1', path: '/', httpOnly: true, sameSite: 'Strict' },
  ]);
  return context;
};

/** What a page gets that asks for a ticket by cookie and opens the WebSocket with it. */
const outcome = async (pageUrl: string, ticketsUrl: string) => {
  const context = await visitor();
  try {
    const page = await context.newPage();
    await page.goto(pageUrl);
    expect(await page.evaluate('document.cookie')).toBe('');
    return await page.evaluate(async (tickets) => {
      const response = await fetch(tickets, { method: 'POST', credentials: 'include' }).catch(
        () => undefined,
      );
      // The browser does not let the page see the answer.
      if (!response) return 'hidden';
      if (!response.ok) return response.status;
      const { url } = (await response.json()) as { url: string };
      return new Promise<string>((resolve) => {
        const socket = new WebSocket(url);
        socket.onmessage = ({ data }) => resolve(JSON.parse(data).sub);
        socket.onclose = ({ code }) => resolve(`closed: ${code}`);
      });
    }, ticketsUrl);
  } finally {
    await context.close();
  }
};

const mints = (by: BrokerProcess) =>
  by
    .decisions()
    .filter(({ decision }) => decision === 'mint')
    .map(({ reason }) => reason);

test('a page of the same host gets a ticket by cookie, without a look at the token', async () => {
  expect(await outcome(`${broker.url}/healthz`, '/tickets')).toBe('alice');
});

test('a page of a named origin gets one, too', async () => {
  expect(await outcome(named.origin, `${listing.url}/tickets`)).toBe('alice');
});

test.each([
  ['where none is named', () => broker],
  ['where another is named', () => listing],
])('a page of any other origin gets none, %s, though its request brings the cookie', async (_where, at) => {
  const before = mints(at()).length;
  expect(await outcome(foreign.origin, `${at().url}/tickets`)).toBe('hidden');
  await expect.poll(() => mints(at()).slice(before)).toEqual(['origin_forbidden']);
});
