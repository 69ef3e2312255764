import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Status, TicketSocketOptions } from '../../src/client/client.ts';
import type { UseTicketWebSocketOptions } from '../../src/client/react.ts';
import { type BrokerProcess, secretsIn, sharedStore, startBroker } from '../support/broker-process.ts';
import { bundle } from '../support/bundle.ts';
import { launchChromium, startSite } from '../support/e2e-browser.ts';
import type { ClientPage } from '../support/e2e-client-page.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

let browser: Browser;
let script: string;
let broker: BrokerProcess;
beforeAll(async () => {
  [browser, script, broker] = await Promise.all([
    launchChromium(),
    bundle('test/support/e2e-client-page.ts', { format: 'iife' }),
    startBroker(sharedStore(inject('redisUrl'))),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await broker?.stop();
});

const contexts: BrowserContext[] = [];
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
});

/** A page with the client in it. */
async function pageAt(url: string): Promise<Page> {
  const context = await browser.newContext();
  contexts.push(context);
  const page = await context.newPage();
  await page.goto(url);
  await page.evaluate(script);
  return page;
}

const decisions = (decision: string, by = broker) =>
  by.decisions().filter((line) => line['decision'] === decision);

// The functions below run in the page, and use nothing from here but types.
const hook = (page: Page) =>
  page.evaluate(() => {
    const { mounted } = globalThis as unknown as ClientPage;
    const { status, reason, messages } = mounted.current ?? { messages: [] };
    return { status, reason, messages, renders: mounted.renders, mounts: mounted.mounts };
  });
const mount = (page: Page, url: string | undefined, options: UseTicketWebSocketOptions) =>
  page.evaluate(([url, options]) => (globalThis as unknown as ClientPage).mount(url, options), [
    url,
    options,
  ] as const);
const render = (page: Page, url: string | undefined, options: UseTicketWebSocketOptions) =>
  page.evaluate(([url, options]) => (globalThis as unknown as ClientPage).mounted.render(url, options), [
    url,
    options,
  ] as const);
const send = (page: Page, message: object) =>
  page.evaluate(
    (message) => (globalThis as unknown as ClientPage).mounted.current?.sendMessage(message),
    message,
  );
const open = (page: Page, options: TicketSocketOptions) =>
  page.evaluate((options) => (globalThis as unknown as ClientPage).open(options), options);
const welcomes = (page: Page) => page.evaluate(() => (globalThis as unknown as ClientPage).opened.welcomes);
const statuses = (page: Page): Promise<Status[]> =>
  page.evaluate(() => (globalThis as unknown as ClientPage).opened.statuses);

const connected = (page: Page) => expect.poll(() => hook(page)).toMatchObject({ status: 'connected' });
const socketsClosed = (by = broker) => by.output().split('"msg":"socket closed"').length - 1;

describe('useTicketWebSocket in StrictMode', () => {
  test('mounted twice, opens one socket with one ticket, and closes it when unmounted', async () => {
    const page = await pageAt(`${broker.url}/healthz`);
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    const [mints, redeems, closed] = [decisions('mint').length, decisions('redeem').length, socketsClosed()];

    await mount(page, '/ws', { token: await broker.token() });
    await expect.poll(() => send(page, { type: 'test', payload: { message: 'Hello' } })).toBe(true);
    await expect
      .poll(() => hook(page))
      .toMatchObject({
        status: 'connected',
        mounts: 2,
        messages: [{ type: 'test', payload: { message: 'Hello' }, user: 'alice' }],
      });

    await page.evaluate(() => (globalThis as unknown as ClientPage).mounted.unmount());
    await expect.poll(() => socketsClosed()).toBe(closed + 1);
    expect(decisions('mint').slice(mints)).toEqual([expect.objectContaining({ reason: 'ok' })]);
    expect(decisions('redeem').slice(redeems)).toEqual([expect.objectContaining({ reason: 'ok' })]);
    expect(sockets).toEqual([`${broker.url.replace('http', 'ws')}/ws`]);
    expect(secretsIn(sockets.join())).toEqual([]);
  });

  test('keeps its socket over renders and new tokens, and as many messages as it is told', async () => {
    const page = await pageAt(`${broker.url}/healthz`);
    const token = await broker.token();
    const redeems = decisions('redeem').length + 1;
    await mount(page, '/ws', { token, maxMessages: 2 });
    await connected(page);
    await expect.poll(() => decisions('redeem')).toHaveLength(redeems);
    for (const next of [token, 'another, for later', token]) {
      await render(page, '/ws', { token: next, maxMessages: 2 });
      await send(page, { type: 'test' });
    }
    await expect.poll(async () => (await hook(page)).messages).toHaveLength(2);
    expect(await hook(page)).toMatchObject({ status: 'connected' });
    expect(decisions('redeem')).toHaveLength(redeems);

    await render(page, '/ws?room=lobby', { token });
    await expect.poll(() => decisions('redeem')).toHaveLength(redeems + 1);
    await expect.poll(() => hook(page)).toMatchObject({ status: 'connected', messages: [] });
  });

  test('tells the log of the latest render', async () => {
    const page = await pageAt(`${broker.url}/healthz`);
    const lines = (name: string) =>
      page.evaluate((name) => (globalThis as unknown as Record<string, string[]>)[name], name);
    const renderWithLog = async (name: string) =>
      page.evaluate(
        ([name, token]) => {
          const { mounted, mount } = globalThis as unknown as ClientPage;
          const kept: string[] = [];
          Object.assign(globalThis, { [name]: kept });
          (mounted?.render ?? mount)('/ws', { token, log: (line) => kept.push(line) });
        },
        [name, await broker.token()] as const,
      );
    await renderWithLog('first');
    await connected(page);
    const before = await lines('first');
    await renderWithLog('second');
    await expect.poll(async () => (await hook(page)).renders).toBeGreaterThan(2);
    await page.evaluate(() => (globalThis as unknown as ClientPage).mounted.unmount());
    await expect.poll(() => lines('second')).toEqual([expect.stringMatching(/^closed disconnected/)]);
    expect(await lines('first')).toEqual(before);
  });

  test('takes tickets from a `getTicket` that comes later', async () => {
    const page = await pageAt(`${broker.url}/healthz`);
    await mount(page, '/ws', {});
    await expect.poll(() => hook(page)).toMatchObject({ status: 'closed', reason: 'unauthorized' });
    await page.evaluate(
      async (token) => {
        const { mounted } = globalThis as unknown as ClientPage;
        const headers = { authorization: `Bearer ${token}` };
        mounted.render('/ws', {
          getTicket: async () =>
            (await (await fetch('/tickets', { method: 'POST', headers })).json()) as { ticket: string },
        });
      },
      await broker.token(),
    );
    await connected(page);
  });

  test('does nothing without a URL, says why it is closed, and opens with a new token', async () => {
    const page = await pageAt(`${broker.url}/healthz`);
    const mints = decisions('mint').length;
    await mount(page, undefined, { token: 'outdated' });
    await expect.poll(() => hook(page)).toMatchObject({ status: 'closed', mounts: 2 });
    expect(await send(page, {})).toBe(false);

    await render(page, '/ws', { token: 'outdated' });
    await expect.poll(() => hook(page)).toMatchObject({ status: 'closed', reason: 'unauthorized' });
    await render(page, '/ws', { token: await broker.token() });
    await connected(page);
    await expect.poll(() => decisions('mint')).toHaveLength(mints + 2);

    // A user's own way of ending all sessions everywhere.
    const ended = await fetch(`${broker.url}/sessions`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${await broker.token()}` },
    });
    expect(ended.status).toBe(204);
    await expect.poll(() => hook(page)).toMatchObject({ status: 'closed', reason: 'revoked' });
  });
});

describe('a page', () => {
  let alone: BrokerProcess;
  beforeAll(async () => {
    alone = await startBroker();
  });
  afterAll(() => alone?.stop());

  test('offline makes no attempts, and is back soon once it is online', async () => {
    const page = await pageAt(`${alone.url}/healthz`);
    await open(page, { url: '/ws', token: await alone.token(), backoff: { baseMs: 20, capMs: 20 } });
    await expect.poll(() => welcomes(page)).toBe(1);
    let requests = 0;
    page.on('request', () => requests++);

    await page.context().setOffline(true);
    await expect
      .poll(async () => (await statuses(page)).at(-1))
      .toMatchObject({ status: 'waiting', why: 'offline', waitMs: 30_000 });
    // Long enough for fifty.
    await page.waitForTimeout(1000);
    expect(requests).toBe(0);

    await page.context().setOffline(false);
    await expect.poll(() => welcomes(page)).toBe(2);
    expect(requests).toBe(1);
  });

  test('that is looked at again does not wait any longer', async () => {
    const first = await startBroker(sharedStore(inject('redisUrl')));
    const page = await pageAt(`${first.url}/healthz`);
    const day = 24 * 3600 * 1000;
    await open(page, { url: '/ws', token: await first.token(), backoff: { baseMs: day, capMs: day } });
    await expect.poll(() => welcomes(page)).toBe(1);
    process.kill(first.pid, 'SIGKILL');
    await expect.poll(async () => (await statuses(page)).at(-1)?.status).toBe('waiting');
    await first.stop();
    await using _ = await startBroker({ PORT: `${first.port}` });
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await expect.poll(() => welcomes(page)).toBe(2);
  });

  test('that has slept does not trust its socket any more', async () => {
    const proxy = await startTcpProxy(0);
    const origin = `http://127.0.0.1:${proxy.port}`;
    await using guarded = await startBroker({ ALLOWED_ORIGINS: origin });
    proxy.pointTo(guarded.port);
    const page = await pageAt(`${origin}/healthz`);
    await page.clock.install();
    await open(page, {
      url: '/ws',
      ticketUrl: `${guarded.url}/tickets`,
      token: await guarded.token(),
    });
    await expect.poll(() => welcomes(page)).toBe(1);

    // A minute is nothing: hidden pages are run no more often.
    await page.clock.fastForward('01:00');
    expect((await statuses(page)).map(({ status }) => status)).toEqual(['connected']);

    proxy.goSilent();
    await page.clock.fastForward('02:00');
    await expect.poll(() => welcomes(page)).toBe(2);
    expect(await statuses(page)).toEqual([
      { status: 'connected' },
      { status: 'waiting', why: 'slept', waitMs: expect.any(Number), attempt: 1 },
      { status: 'connecting' },
      { status: 'connected' },
    ]);
    await page.context().close();
    await proxy.close();
  });

  test('of another origin waits as long as it is told, too', async () => {
    const site = await startSite();
    await using limited = await startBroker({
      ALLOWED_ORIGINS: site.origin,
      MINT_LIMIT: '1',
      ATTEMPT_WINDOW: '3',
    });
    const page = await pageAt(site.origin);
    await limited.mint();
    await open(page, { url: `${limited.url}/ws`, token: await limited.token() });
    await expect.poll(() => welcomes(page), { timeout: 15_000 }).toBe(1);
    const [wait] = await statuses(page);
    expect(wait).toMatchObject({ status: 'waiting', why: 'no ticket: 429 rate_limited' });
    expect(wait?.status === 'waiting' && wait.waitMs).toBeGreaterThanOrEqual(1000);
    site.close();
  });

  test('without a token is let in by its cookie', async () => {
    await using baking = await startBroker({ AUTH_COOKIE: 'token' });
    const page = await pageAt(`${baking.url}/healthz`);
    const value = await baking.token();
    await page
      .context()
      .addCookies([{ name: 'token', value, domain: '127.0.0.1', path: '/', httpOnly: true }]);
    await open(page, { url: '/ws' });
    await expect.poll(() => welcomes(page)).toBe(1);
  });
});
