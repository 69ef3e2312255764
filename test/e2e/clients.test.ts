import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket as WsClient } from 'ws';
import {
  type BrokerProcess,
  type Minted,
  password,
  sharedStore,
  startBroker,
} from '../support/broker-process.ts';
import { launchChromium, type Site, startSite } from '../support/e2e-browser.ts';
import { until } from '../support/e2e-until.ts';

interface Attempt {
  url: string;
  protocols: string[];
}

interface Opening {
  /** The first message; undefined where the socket did not open. */
  welcome?: { type: string; sub: string };
  protocol?: string;
  /** Of a socket that closed before a message came. */
  closed?: number;
}

/** What any browser-like `WebSocket` gets from opening one; also run inside a page, so it uses nothing from here. */
const opening = ({ url, protocols }: Attempt): Promise<Opening> =>
  new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onmessage = ({ data }) => {
      resolve({ welcome: JSON.parse(data), protocol: socket.protocol });
      socket.close();
    };
    socket.onclose = ({ code }) => resolve({ closed: code });
  });

const bySubprotocol = (broker: BrokerProcess, { ticket }: Minted): Attempt => ({
  url: `${broker.url.replace('http', 'ws')}/ws`,
  protocols: ['chat', `ticket.${ticket}`],
});

const bySubprotocolFirst = (from: BrokerProcess, minted: Minted): Attempt => {
  const { url, protocols } = bySubprotocol(from, minted);
  return { url, protocols: protocols.toReversed() };
};

const byUrl = (_broker: BrokerProcess, { url }: Minted): Attempt => ({ url, protocols: [] });

const ways = [
  ['as a subprotocol', bySubprotocol, 'chat'],
  ['as the first subprotocol', bySubprotocolFirst, 'chat'],
  ['in the URL', byUrl, ''],
] as const;

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await startBroker({ ...sharedStore(inject('redisUrl')), ATTEMPT_LIMIT: '0' });
});
afterAll(() => broker?.stop());

/** The log's last word on a ticket: what clients cannot see of a refusal. */
const verdict = ({ ticket_id }: Minted, by = broker) =>
  by
    .decisions()
    .filter((line) => line['decision'] === 'redeem' && line['ticket_id'] === ticket_id)
    .map(({ reason }) => reason);

const welcomed = { type: 'welcome', sub: 'alice' };

describe("Chromium's WebSocket", () => {
  let browser: Browser;
  let foreign: Site;
  beforeAll(async () => {
    browser = await launchChromium();
    foreign = await startSite();
  });
  afterAll(async () => {
    await browser?.close();
    foreign?.close();
  });

  const pageAt = async (url: string): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(url);
    return page;
  };

  test.each(ways)('opens with a ticket %s, once', async (_way, attemptOf, protocol) => {
    const page = await pageAt(`${broker.url}/docs/`);
    const minted = await broker.mint();
    const attempt = attemptOf(broker, minted);

    expect(await page.evaluate(opening, attempt)).toEqual({
      welcome: expect.objectContaining(welcomed),
      protocol,
    });
    expect(await page.evaluate(opening, attempt)).toEqual({ closed: 1006 });
    await expect.poll(() => verdict(minted)).toEqual(['ok', 'replayed']);
    await page.close();
  });

  test('does it all in a page: logs in, mints, opens', async () => {
    const page = await pageAt(`${broker.url}/healthz`);
    const message = await page.evaluate(async (typed) => {
      const post = (path: string, body: object, headers = {}) =>
        fetch(path, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify(body),
        }).then((response) => response.json() as Promise<Record<'token' | 'url', string>>);
      const { token } = await post('/api/login', { username: 'alice', password: typed });
      const { url } = await post('/tickets', {}, { authorization: `Bearer ${token}` });
      const socket = new WebSocket(url);
      return new Promise((resolve, reject) => {
        socket.onmessage = ({ data }) => resolve(JSON.parse(data));
        socket.onclose = ({ code }) => reject(new Error(`closed: ${code}`));
      });
    }, password);
    expect(message).toMatchObject(welcomed);
    await page.close();
  });

  test("is refused on another origin's page, and the ticket stays good", async () => {
    const minted = await broker.mint();
    const before = refusals(broker).length;

    const elsewhere = await pageAt(foreign.origin);
    expect(await elsewhere.evaluate(opening, bySubprotocol(broker, minted))).toEqual({ closed: 1006 });
    await expect.poll(() => refusals(broker).slice(before)).toEqual(['origin_forbidden']);
    await elsewhere.close();

    const home = await pageAt(`${broker.url}/healthz`);
    expect(await home.evaluate(opening, bySubprotocol(broker, minted))).toMatchObject({ welcome: welcomed });
    await home.close();
  });

  test('is admitted on exactly the origins that ALLOWED_ORIGINS names', async () => {
    await using choosy = await startBroker({
      ...sharedStore(inject('redisUrl')),
      ALLOWED_ORIGINS: `https://app.example,${foreign.origin}`,
    });
    const minted = await choosy.mint();

    const home = await pageAt(`${choosy.url}/healthz`);
    expect(await home.evaluate(opening, byUrl(choosy, minted))).toEqual({ closed: 1006 });
    await expect.poll(() => refusals(choosy)).toEqual(['origin_forbidden']);
    await home.close();

    const named = await pageAt(foreign.origin);
    expect(await named.evaluate(opening, byUrl(choosy, minted))).toMatchObject({ welcome: welcomed });
    await named.close();
  });

  const refusals = (by: BrokerProcess) =>
    by
      .decisions()
      .filter((line) => line['decision'] === 'redeem' && line['granted'] === false)
      .map(({ reason }) => reason);
});

describe("Node's own WebSocket", () => {
  test.each(ways)('opens with a ticket %s, once', async (_way, attemptOf, protocol) => {
    const minted = await broker.mint();
    const attempt = attemptOf(broker, minted);
    expect(await opening(attempt)).toEqual({ welcome: expect.objectContaining(welcomed), protocol });
    expect(await opening(attempt)).toEqual({ closed: expect.any(Number) });
    // After a 401 undici asks a second time by itself (Fetch standard, HTTP-network-or-cache fetch, step 14).
    await expect.poll(() => verdict(minted)).toEqual(['ok', 'replayed', 'replayed']);
  });
});

describe('the ws package', () => {
  test.each(ways)('opens with a ticket %s, once', async (_way, attemptOf, protocol) => {
    const attempt = attemptOf(broker, await broker.mint());

    const socket = new WsClient(attempt.url, attempt.protocols);
    const [data] = await once(socket, 'message');
    expect(JSON.parse(String(data))).toMatchObject(welcomed);
    expect(socket.protocol).toBe(protocol);
    socket.close();

    expect(await statusOf(attempt)).toBe(401);
  });

  test.each(['https://evil.example', 'null', 'http://127.0.0.1'])(
    'is refused with the Origin %s',
    async (origin) => {
      const attempt = bySubprotocol(broker, await broker.mint());
      expect(await statusOf(attempt, { origin })).toBe(403);
    },
  );

  /** The status of a handshake, 101 where it was not refused. */
  const statusOf = ({ url, protocols }: Attempt, options = {}): Promise<number> =>
    new Promise((resolve) => {
      const socket = new WsClient(url, protocols, options);
      const told = (status = 0) => {
        resolve(status);
        socket.terminate();
      };
      socket.on('error', () => {});
      socket.on('open', () => told(101));
      socket.on('unexpected-response', (_request, { statusCode }) => told(statusCode));
    });
});

describe('Python websockets', () => {
  const script = `
import asyncio, json, sys, websockets

async def main(url, protocols):
    try:
        async with websockets.connect(url, subprotocols=protocols or None) as socket:
            print(json.dumps({"welcome": json.loads(await socket.recv()), "protocol": socket.subprotocol or ""}))
    except websockets.exceptions.InvalidHandshake as error:
        status = getattr(error, "status_code", None) or error.response.status_code
        print(json.dumps({"status": status}))

asyncio.run(main(sys.argv[1], sys.argv[2:]))
`;
  const python = async ({ url, protocols }: Attempt) => {
    const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', script, url, ...protocols]);
    return JSON.parse(stdout);
  };

  test.each(ways)('opens with a ticket %s, once', async (_way, attemptOf, protocol) => {
    const attempt = attemptOf(broker, await broker.mint());
    expect(await python(attempt)).toEqual({ welcome: expect.objectContaining(welcomed), protocol });
    expect(await python(attempt)).toEqual({ status: 401 });
  });
});

describe('curl', () => {
  test.each(ways)('opens with a ticket %s, once', async (_way, attemptOf) => {
    const attempt = attemptOf(broker, await broker.mint());

    const first = await curl(attempt);
    expect(first).toMatch(/^HTTP\/1\.1 101 /);
    expect(first).toContain('"type":"welcome"');
    expect(first).not.toContain('wst_');

    const second = await curl(attempt);
    expect(second).toMatch(/^HTTP\/1\.1 401 /);
    expect(JSON.parse(second.split('\r\n\r\n')[1] ?? '')).toEqual({
      error: 'invalid_ticket',
      error_description: expect.any(String),
    });
  });

  test('mints though it offers HTTP/2 on the way', async () => {
    const { stdout } = await promisify(execFile)('curl', [
      ...[
        '-sS',
        '--http2',
        '-X',
        'POST',
        '-H',
        'content-type: application/json',
        '-d',
        '{"rooms":["lobby"]}',
      ],
      ...['-H', `authorization: Bearer ${await broker.token()}`, `${broker.url}/tickets`],
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ ticket: expect.stringMatching(/^wst_/) });
  });

  /** All that curl prints until the server has welcomed it, or has closed. */
  const curl = async ({ url, protocols }: Attempt): Promise<string> => {
    const headers = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ...(protocols.length > 0 ? [`Sec-WebSocket-Protocol: ${protocols.join(', ')}`] : []),
    ];
    const args = [
      '-sSiN',
      '--http1.1',
      ...headers.flatMap((header) => ['-H', header]),
      url.replace('ws', 'http'),
    ];
    const child = spawn('curl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const printed = collect(child);
    await until(() => printed().includes('"welcome"') || child.exitCode !== null, 'curl has an answer');
    child.kill();
    return printed();
  };

  const collect = (child: ChildProcess) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    return () => text;
  };
});
