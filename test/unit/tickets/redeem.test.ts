import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { gathering } from '../../../src/store/gathering.ts';
import { memoryStore } from '../../../src/store/memory.ts';
import type { Redemption } from '../../../src/store/store.ts';
import { redeem } from '../../../src/tickets/redeem.ts';
import { newTicket, ticketId } from '../../../src/tickets/ticket.ts';

test('tickets that the store refuses together are each refused under their own name', async () => {
  const together = gathering<string, Redemption>(async () => {
    throw new BrokerError('store_unavailable', { reason: 'store: ETIMEDOUT', facts: { known: 1 } });
  });
  const store = { ...memoryStore({ now: Date.now }), redeem: (id: string) => together('', id) };
  const deps = { store, now: Date.now, randomBytes, sessionTtl: 60 };
  const tickets = Array.from({ length: 3 }, () => newTicket(randomBytes));
  const refused = await Promise.all(
    tickets.map((ticket) => redeem(deps, ticket, {}).catch((error) => error)),
  );
  expect(refused).toEqual(
    tickets.map((ticket) =>
      expect.objectContaining({
        code: 'store_unavailable',
        reason: 'store: ETIMEDOUT',
        retryAfter: 1,
        facts: { known: 1, ticket_id: ticketId(ticket) },
      }),
    ),
  );
});
