import { requireScope, requireService } from '../credentials/caller.ts';
import type { Metrics } from '../metrics.ts';
import type { Authenticate } from './authenticate.ts';
import { refusalsOf } from './refusal-schemas.ts';
import type { App } from './type-provider.ts';

export interface MetricsRouteOptions {
  authenticate: Authenticate;
  metrics: Pick<Metrics, 'text' | 'contentType'>;
}

/** `/metrics` where it has no port of its own. */
export function metricsRoute(app: App, { authenticate, metrics }: MetricsRouteOptions): void {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        summary: 'What Prometheus scrapes',
        description:
          'For a service key of scope `sessions:read`. With `METRICS_PORT`, it is on that port instead, for everybody who reaches it.',
        tags: ['operations'],
        security: [{ serviceKey: [] }],
        response: {
          200: {
            description: 'The Prometheus text format.',
            content: { 'text/plain': { schema: { type: 'string' } } },
          },
          ...refusalsOf('invalid_token', 'insufficient_scope', 'not_found', 'store_unavailable'),
        },
      },
    },
    async (request, reply) => {
      const caller = await authenticate(request);
      requireService(caller);
      requireScope(caller, 'sessions:read');
      return reply.type(metrics.contentType).send(await metrics.text());
    },
  );
}
