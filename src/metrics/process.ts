import { collectDefaultMetrics, type Registry } from '@prometheus-io/client';

/** What `promtool check metrics` finds misnamed. */
const misnamed = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
  'nodejs_eventloop_utilization_histogram',
  'nodejs_eventloop_utilization_summary',
];

/** What Node tells of itself. It costs something all the time. @returns what starts it, once */
export function processMetrics(register: Registry): () => void {
  let started = false;
  return () => {
    if (started) return;
    started = true;
    collectDefaultMetrics({ register });
    for (const name of misnamed) register.removeSingleMetric(name);
  };
}
