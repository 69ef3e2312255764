import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repository } from './broker-process.ts';

export interface DashboardQuery {
  title: string;
  /** Of the data source. */
  uid: string;
  expr: string;
}

/** What Grafana's dashboard asks Prometheus, panel by panel. */
export async function dashboardQueries(): Promise<DashboardQuery[]> {
  const file = join(repository, 'deploy/grafana/dashboards/ticket-broker.json');
  const { panels } = JSON.parse(await readFile(file, 'utf8')) as {
    panels: { title: string; datasource: { uid: string }; targets: { expr: string }[] }[];
  };
  return panels.flatMap(({ title, datasource: { uid }, targets }) =>
    targets.map(({ expr }) => ({ title, uid, expr: expr.replaceAll('$__rate_interval', '1m') })),
  );
}
