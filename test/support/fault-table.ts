import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContenderName } from './contenders.ts';

/** One line of the table: what a fault did to each contender. */
export interface FaultRow {
  fault: string;
  /** Tickets that opened a second time, of those that could have. */
  doubles: Partial<Record<ContenderName, string>>;
  /** How the product refused the second use. */
  refusals: Record<string, number>;
  /** Fresh tickets that opened afterwards, of 100. */
  fresh: number;
}

const path = join(tmpdir(), `ticket-broker-faults-${process.env['FAULTS_RUN'] ?? process.ppid}.jsonl`);

export function report(row: FaultRow): void {
  appendFileSync(path, `${JSON.stringify(row)}\n`);
}

/** For vitest's `globalSetup`: prints the table when all scenarios are over. */
export default function setup(): () => void {
  process.env['FAULTS_RUN'] = String(process.pid);
  const file = join(tmpdir(), `ticket-broker-faults-${process.pid}.jsonl`);
  return () => {
    if (!existsSync(file)) return;
    const rows = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as FaultRow);
    rmSync(file);
    console.log(`\nTickets accepted a second time / tickets used\n\n${markdown(rows)}\n`);
  };
}

function markdown(rows: readonly FaultRow[]): string {
  const columns = ['bare GETDEL', 'run_id', 'run_id per connection', 'product'] as const;
  const header = ['fault', ...columns, 'the product refused as', 'fresh tickets'];
  const lines = rows.map(({ fault, doubles, refusals, fresh }) => [
    fault,
    ...columns.map((name) => doubles[name] ?? ''),
    Object.entries(refusals)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(', '),
    `${fresh}/100`,
  ]);
  return [header, header.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
