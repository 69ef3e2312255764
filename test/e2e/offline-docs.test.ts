import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BrokerProcess, startBroker } from '../support/broker-process.ts';
import { launchChromium } from '../support/e2e-browser.ts';

let browser: Browser;
let broker: BrokerProcess;
beforeAll(async () => {
  [browser, broker] = await Promise.all([launchChromium(), startBroker()]);
});
afterAll(async () => {
  await browser?.close();
  await broker?.stop();
});

test('/docs is readable offline: the browser asks no other host, and nothing is missing', async () => {
  const page = await browser.newPage();
  const asked: string[] = [];
  const missing: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('requestfailed', (request) => missing.push(request.url()));
  page.on('response', (response) => response.status() >= 400 && missing.push(response.url()));

  await page.goto(`${broker.url}/docs/`);
  // One operation with its schema, opened: what it takes is there.
  await page.locator('.opblock-summary', { hasText: '/tickets/redeem' }).click();
  await page.getByText('Spend a ticket, and be told what it stands for').waitFor();
  await page.getByText('redemption_id').first().waitFor();
  await page.waitForLoadState('networkidle');

  const elsewhere = asked.filter((url) => !url.startsWith('data:') && new URL(url).origin !== broker.url);
  expect(asked.length).toBeGreaterThan(4);
  expect([elsewhere, missing]).toEqual([[], []]);
});
