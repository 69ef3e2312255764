import { BrokerError } from '../errors.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Store } from '../store/store.ts';
import { refusalsOf } from './refusal-schemas.ts';
import { Status } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface OperationsOptions {
  store: Store;
  feed: Pick<Feed, 'current'>;
}

/** What a load balancer and an orchestrator ask. */
export function operationsRoutes(app: App, { store, feed }: OperationsOptions): void {
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'healthz',
        summary: 'Is the process alive',
        tags: ['operations'],
        response: { 200: Status, ...refusalsOf() },
      },
    },
    async () => ({ status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'readyz',
        summary: 'Can it serve: is the store there, and the feed of revocations read to its end',
        tags: ['operations'],
        response: { 200: Status, ...refusalsOf('store_unavailable') },
      },
    },
    async () => {
      await store.check();
      if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
      return { status: 'ok' as const };
    },
  );
}
