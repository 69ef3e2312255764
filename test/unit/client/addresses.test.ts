import { describe, expect, test } from 'vitest';
import { socketUrl, ticketsUrl } from '../../../src/client/addresses.ts';
import { ticketsUrlOf, webSocketUrlOf } from '../../../src/client/web-socket-ticket.ts';

test.each([
  ['ws://127.0.0.1:8080/ws', 'ws://127.0.0.1:8080/ws'],
  ['https://chat.example/ws?room=lobby#top', 'wss://chat.example/ws?room=lobby'],
  // As a mint answers it: the next attempt would carry a spent ticket.
  ['wss://chat.example/ws?ticket=wst_spent&room=lobby', 'wss://chat.example/ws?room=lobby'],
])('sockets of %s are opened at %s', (given, url) => {
  expect(socketUrl(given).href).toBe(url);
});

test.each(['/ws', 'ftp://chat.example/ws', ''])('%j is no address where there is no page', (given) => {
  expect(() => socketUrl(given)).toThrow(TypeError);
});

test('tickets are had from the same host', () => {
  expect(ticketsUrl(new URL('wss://chat.example:8443/ws?room=lobby')).href).toBe(
    'https://chat.example:8443/tickets',
  );
});

describe("seed 003's apiUrl", () => {
  test.each([
    ['wss://test-server.com', 'wss://test-server.com/ws', 'https://test-server.com/tickets'],
    ['https://test-server.com/', 'wss://test-server.com/ws', 'https://test-server.com/tickets'],
    ['ws://localhost:8080/ws', 'ws://localhost:8080/ws', 'http://localhost:8080/tickets'],
    ['https://example.com/chat/', 'wss://example.com/chat/ws', 'https://example.com/chat/tickets'],
  ])('%s', (apiUrl, socket, tickets) => {
    expect(webSocketUrlOf(apiUrl).href).toBe(socket);
    expect(ticketsUrlOf(apiUrl).href).toBe(tickets);
  });
});
