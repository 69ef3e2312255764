import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { serveMetrics } from '../../src/http/metrics-server.ts';
import { createMetrics } from '../../src/metrics.ts';
import { type TestApp, testApp } from '../support/app.ts';

describe('a decision', () => {
  let broker: TestApp;
  let at: string;
  beforeAll(async () => {
    broker = await testApp();
    at = (await broker.app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws');
  });
  afterAll(() => broker.close());

  test('is logged and counted, a replay with the session that the ticket opened', async () => {
    const { ticket, ticket_id } = await broker.ticket();
    const socket = new WebSocket(`${at}/ws?ticket=${ticket}`);
    const [message] = await once(socket, 'message');
    const { session_id } = JSON.parse(String(message));
    const again = new WebSocket(`${at}/ws?ticket=${ticket}`);
    const [error] = await once(again, 'error');
    expect(error.message).toContain('401');

    expect(broker.decisions()).toMatchObject([
      { decision: 'login', granted: true, sub: 'alice' },
      { decision: 'mint', granted: true, sub: 'alice', ticket_id },
      { decision: 'redeem', granted: true, reason: 'ok', sub: 'alice', ticket_id, session_id, via: 'ws' },
      { decision: 'redeem', granted: false, reason: 'replayed', ticket_id, session_id },
    ]);
    const metrics = await broker.metrics();
    expect(metrics).toContain(
      'ticket_broker_decisions_total{decision="redeem",granted="false",reason="replayed"} 1',
    );
    expect(metrics).toContain('ticket_broker_sockets_open 1');

    socket.close();
    await once(socket, 'close');
    await expect.poll(() => broker.metrics()).toContain('ticket_broker_sockets_open 0');
    expect(await broker.metrics()).toContain('ticket_broker_sockets_closed_total{code="1005"} 1');
  });
});

test.each([
  ['a ticket', (ticket: string) => ticket],
  ['a service key', () => `wsk_${'A'.repeat(43)}`],
  ['a refresh token', () => `wsr_${'A'.repeat(22)}.1.${'A'.repeat(43)}`],
  ['a JWT', () => 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln'],
])('%s in the place of an audience is in no decision', async (_what, secretOf) => {
  const broker = await testApp();
  const { ticket } = await broker.ticket();
  const secret = secretOf(ticket);
  await broker.app.inject(`/verify?aud=${secret}&ticket=${ticket}`);
  const [decision] = broker.decisions().slice(-1);
  expect(decision).toMatchObject({ decision: 'redeem', via: 'verify', granted: true });
  expect(broker.logs()).not.toContain(secret);
  await broker.close();
});

test('/metrics is served on a port of its own, and nothing else is', async () => {
  const { port, stop } = await serveMetrics(createMetrics(), '127.0.0.1', 0);
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(metrics.headers.get('content-type')).toContain('text/plain');
  expect(await metrics.text()).toContain('# TYPE ticket_broker_decisions_total counter');
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(404);
  await stop();
});
