import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { recordDecisions } from '../../../src/decisions.ts';
import { BrokerError } from '../../../src/errors.ts';
import { createMetrics } from '../../../src/metrics.ts';
import type { Session } from '../../../src/tickets/session.ts';
import { admission } from '../../../src/ws/admission.ts';
import type { Gate } from '../../../src/ws/gate.ts';
import { aRecord } from '../../support/records.ts';

const session: Session = {
  session_id: 's',
  ticket_id: 't',
  record: aRecord(),
  deadline: Date.now() + 1000,
  exp: 1,
};

function door(admit: Gate['admit'], maxConnections = 1) {
  const metrics = createMetrics();
  const { admit: ask, admitLater } = admission({
    decide: recordDecisions(metrics),
    log: pino({ level: 'silent' }),
    gate: { admit, redeem: async () => session, audience: undefined },
    visitor: () => ({ address: '192.0.2.1', host: 'chat.example' }),
    maxConnections,
    bindIp: 'off',
  });
  const knock = () => {
    const socket = new EventEmitter();
    const request = { socket, url: '/ws', headers: {} } as unknown as IncomingMessage;
    return { socket, answer: ask(request) };
  };
  return { knock, admitLater, metrics };
}

const opened = async () => ({ session, via: 'ws' as const });
const refuse = async () => {
  throw new BrokerError('invalid_ticket');
};

describe('the limit on connections', () => {
  test('has half of its places for those who have shown nothing yet', async () => {
    let shown = false;
    const { knock, admitLater } = door(async () => (shown ? opened() : undefined), 4);
    const [first, second] = [knock(), knock()];
    const { peer } = await first.answer;
    await second.answer;
    await expect(knock().answer).rejects.toMatchObject({ code: 'overloaded', reason: 'max_connections' });
    // One proves itself, and one hangs up.
    await admitLater('ticket', peer);
    second.socket.emit('close');
    await Promise.all([knock().answer, knock().answer]);
    shown = true;
    await knock().answer;
    await expect(knock().answer).rejects.toMatchObject({ reason: 'max_connections' });
  });

  test('holds a place until the connection is gone', async () => {
    const { knock } = door(opened);
    const { socket, answer } = knock();
    await answer;
    await expect(knock().answer).rejects.toMatchObject({ reason: 'max_connections' });
    socket.emit('close');
    await knock().answer;
  });

  test('gives a place back once, where a client is gone before it is refused', async () => {
    const { promise: judged, resolve: judge } = Promise.withResolvers<void>();
    let first = true;
    const { knock } = door(async () => {
      if (!first) return opened();
      first = false;
      await judged;
      return refuse();
    });
    const { socket, answer } = knock();
    socket.emit('close');
    judge();
    await expect(answer).rejects.toMatchObject({ code: 'invalid_ticket' });
    await knock().answer;
    await expect(knock().answer).rejects.toMatchObject({ reason: 'max_connections' });
  });
});

test('a socket that is opened to wait for its ticket is no decision yet', async () => {
  const { knock, metrics } = door(async () => undefined);
  expect(await knock().answer).toMatchObject({ session: undefined, peer: { via: 'message' } });
  expect(await metrics.text()).not.toContain('decision="redeem"');
});
