import type { MetricObject } from '@prometheus-io/client';
import { createMetrics } from '../../src/metrics.ts';

/** All that `/metrics` can tell, as the tables in docs/metrics.md. */
export async function metricsTables(): Promise<{ own: string; ofNode: string }> {
  const metrics = createMetrics();
  await metrics.text();
  const all = metrics.registry.getMetricsAsArray() as (MetricObject & { labelNames: string[] })[];
  const table = (listed: typeof all) =>
    ['| metric | type | labels | what |', '| --- | --- | --- | --- |', ...listed.map(row)].join('\n');
  const row = ({ name, type, labelNames, help }: (typeof all)[number]) =>
    `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help} |`;
  const isOwn = ({ name }: MetricObject) => name.startsWith('ticket_broker_');
  return { own: table(all.filter(isOwn)), ofNode: table(all.filter((metric) => !isOwn(metric))) };
}
