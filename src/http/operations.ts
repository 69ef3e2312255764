import type { Store } from '../store/store.ts';
import { refusalsOf, Status } from './schemas.ts';
import type { App } from './type-provider.ts';

export interface OperationsOptions {
  store: Store;
}

/** What a load balancer and an orchestrator ask. */
export function operationsRoutes(app: App, { store }: OperationsOptions): void {
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
        summary: 'Can it serve: is the store there',
        tags: ['operations'],
        response: { 200: Status, ...refusalsOf('store_unavailable') },
      },
    },
    async () => {
      await store.check();
      return { status: 'ok' as const };
    },
  );
}
