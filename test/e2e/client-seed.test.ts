import { afterAll, afterEach, beforeAll, describe, expect, it, test, vi } from 'vitest';
import {
  type ConnectionState,
  getTicketInfo,
  requestWebSocketTicket,
  TicketError,
  WebSocketChatClient,
  WebSocketManager,
} from '../../src/client/client.ts';
import { type BrokerProcess, password, secretsIn, startBroker } from '../support/broker-process.ts';
import { shortBackoff } from '../support/e2e-client.ts';
import { until } from '../support/e2e-until.ts';

let broker: BrokerProcess;
let wsUrl: string;
let token: string;
beforeAll(async () => {
  broker = await startBroker({ ATTEMPT_LIMIT: '0' });
  wsUrl = broker.url.replace('http', 'ws');
  token = await broker.token();
});
afterAll(() => broker?.stop());
afterEach(() => {
  vi.restoreAllMocks();
});

const open: { disconnect(): void }[] = [];
afterEach(() => {
  for (const connection of open.splice(0)) connection.disconnect();
});

// Seed 003, "Testing", as it stands but for host and credentials.
describe('WebSocket Ticket Authentication', () => {
  const config = {
    get apiUrl() {
      return wsUrl;
    },
  };
  const connectionState = {};

  it('should connect with valid ticket', async () => {
    const { ticket } = await broker.mint();
    const manager = new WebSocketManager(config, connectionState);
    open.push(manager);

    await manager.connect(ticket);

    expect(manager.getWebSocketState()).toBe('OPEN');
  });

  it('should fail with invalid ticket', async () => {
    const ticket = 'invalid-ticket';
    const manager = new WebSocketManager(config, connectionState);

    await expect(manager.connect(ticket)).rejects.toThrow();
  });
});

describe('Full Authentication Flow', () => {
  it('should complete full auth flow', async () => {
    const client = new WebSocketChatClient();
    open.push(client);

    await client.onInit({
      userMpAuthToken: token,
      chatServerUrl: wsUrl,
      chatServerKey: 'test-key',
      userId: 'test-user',
    });

    expect(client.isClientConnected()).toBe(true);
  });
});

// Seed 003, "Ticket Request Flow".
test('a ticket that is asked for, in the URL of a WebSocket', async () => {
  const asked = Date.now();
  const ticket = await requestWebSocketTicket(broker.url, {
    userMpAuthToken: token,
    chatServerKey: 'your-server-key',
    userId: 'user-123',
    entityId: 'brand-456',
    entityType: 'BRAND',
    providerResId: '',
  });
  const { expiresIn, ...info } = getTicketInfo(ticket);
  // Whole seconds of 30, counted from when it was asked for.
  expect(expiresIn).toBeLessThanOrEqual(30);
  expect(expiresIn).toBeGreaterThanOrEqual(30 - Math.ceil((Date.now() - asked) / 1000));
  expect(info).toEqual({ isValid: true, shouldRenew: false });

  const websocket = new WebSocket(`${wsUrl}/ws?ticket=${ticket.ticket}`);
  const welcome = await new Promise((resolve) => {
    websocket.onmessage = ({ data }) => resolve(JSON.parse(String(data)));
  });
  websocket.close();
  expect(welcome).toMatchObject({
    sub: 'alice',
    // The server's key is nobody's context.
    context: { userId: 'user-123', entityId: 'brand-456', entityType: 'BRAND' },
  });
});

test('a ticket that is refused', async () => {
  const refused = requestWebSocketTicket(broker.url, { userMpAuthToken: 'outdated' });
  await expect(refused).rejects.toThrow(TicketError);
  await expect(refused).rejects.toMatchObject({ status: 401, code: 'invalid_token' });
});

// Seed 003, "Ticket Refresh and Reconnection".
test('disconnects, takes a new ticket and comes back', async () => {
  const connectionState: ConnectionState = {};
  const manager = new WebSocketManager({ apiUrl: `${wsUrl}/ws` }, connectionState);
  open.push(manager);
  await manager.connect((await broker.mint()).ticket);
  expect(connectionState).toEqual({ state: 'OPEN', connected: true });
  await manager.connect();

  manager.disconnect();
  expect(manager.getWebSocketState()).toBe('CLOSED');
  expect(connectionState).toEqual({ state: 'CLOSED', connected: false });
  await expect(manager.connect()).rejects.toThrow('no_ticket');

  manager.updateTicket((await broker.mint()).ticket);
  await manager.connect();
  expect(manager.getWebSocketState()).toBe('OPEN');
});

test('a manager without tickets of its own comes back once it was given another, and then no more', async () => {
  const manager = new WebSocketManager({ apiUrl: broker.url, backoff: shortBackoff });
  open.push(manager);
  let welcomes = 0;
  manager.on('welcome', () => {
    welcomes++;
    // The server ends such a session.
    manager.send('not JSON');
  });
  const ended = new Promise((resolve) => manager.on('closed', resolve));
  const [first, second] = [await broker.mint(), await broker.mint()];
  const connected = manager.connect(first.ticket);
  manager.updateTicket(second.ticket);
  await connected;
  expect(await ended).toMatchObject({ reason: 'unauthorized', why: 'no ticket: 401 no_ticket' });
  expect(welcomes).toBe(2);
});

test('a spent ticket is refused, once', async () => {
  const { ticket, ticket_id } = await broker.mint();
  const [first, second] = [new WebSocketManager({ apiUrl: wsUrl }), new WebSocketManager({ apiUrl: wsUrl })];
  open.push(first, second);
  await first.connect(ticket);
  await expect(second.connect(ticket)).rejects.toThrow('connection failed');
  expect(second.getWebSocketState()).toBe('CLOSED');
  expect(first.getWebSocketState()).toBe('OPEN');
  await expect
    .poll(() => broker.decisions().filter((line) => line['ticket_id'] === ticket_id && line['via'] === 'ws'))
    .toContainEqual(expect.objectContaining({ reason: 'replayed' }));
});

// Seed 003, "Debug Logging".
test('says what happens, and nothing secret', async () => {
  const said: unknown[][] = [];
  vi.spyOn(console, 'debug').mockImplementation((...line) => said.push(line));
  const client = new WebSocketChatClient({ backoff: shortBackoff });
  open.push(client);
  client.enableDebugLogging = true;
  expect(client.getConnectionStatus()).toEqual({
    connected: false,
    hasValidTicket: false,
    ticketExpiresIn: 0,
  });

  const tokens = ['outdated', token, token];
  await client.onInit({
    userMpAuthToken: () => tokens.shift(),
    chatServerUrl: broker.url,
    userId: 'test-user',
  });
  const status = client.getConnectionStatus();
  expect(status).toEqual({ connected: true, hasValidTicket: false, ticketExpiresIn: 0 });

  expect(client.send('no JSON')).toBe(true);
  await until(() => said.length >= 3, 'it has come back');
  client.disconnect();
  expect(client.isClientConnected()).toBe(false);
  const text = said.map((line) => line.join(' ')).join('\n');
  expect(text).toMatch(/connected[\s\S]*waiting 1007 not JSON[\s\S]*closed/);
  expect(secretsIn(text)).toEqual([]);
  expect(text).not.toContain(password);

  client.enableDebugLogging = false;
  const lines = said.length;
  await client.onInit({ userMpAuthToken: token, chatServerUrl: broker.url });
  expect(said).toHaveLength(lines);
});

test('has a ticket in hand until it is connected', async () => {
  const client = new WebSocketChatClient();
  open.push(client);
  const seen: boolean[] = [];
  const init = client.onInit({ userMpAuthToken: token, chatServerUrl: broker.url });
  await until(() => {
    seen.push(client.getConnectionStatus().hasValidTicket);
    return seen.at(-1) === true || client.isClientConnected();
  }, 'a ticket');
  await init;
  expect(client.getConnectionStatus().hasValidTicket).toBe(false);
});

test('onInit fails where there is no hope, and can be called again', async () => {
  const client = new WebSocketChatClient();
  open.push(client);
  await expect(client.onInit({ userMpAuthToken: 'outdated', chatServerUrl: broker.url })).rejects.toThrow(
    '401 invalid_token',
  );
  await client.onInit({ userMpAuthToken: token, chatServerUrl: broker.url });
  expect(client.isClientConnected()).toBe(true);
});
