import { number, percent, spread } from '../format.ts';
import type { Plot, Table } from '../section.ts';
import { ratioOf, type Spread, spreadOf } from '../statistics.ts';
import type { Row } from './window.ts';

/** The rows of all contenders, and how they compare with one of them. */
export interface Comparison {
  rows: ReadonlyMap<string, readonly Row[]>;
  /** The one that the others are measured by. */
  limit: string;
}

/** The server's CPU time for an operation, beside another's. */
export function cpuRatio(rows: Comparison['rows'], name: string, to: string): Spread {
  return ratioOf(column(rows, name, serverUs), column(rows, to, serverUs));
}

export function comparisonTable({ rows, limit }: Comparison): Table {
  const head = [
    'contender',
    'server, µs',
    `× ${limit}`,
    'Redis, µs',
    `both × ${limit}`,
    'per second',
    `× ${limit}`,
    'p50 / p99, ms',
    'server busy',
    'generator, µs',
    'generator busy',
  ];
  return {
    head,
    rows: [...rows.keys()].map((name) => {
      const of = (pick: (row: Row) => number) => column(rows, name, pick);
      const beside = (pick: (row: Row) => number) => ratioOf(of(pick), column(rows, limit, pick));
      const median = (pick: (row: Row) => number) => spreadOf(of(pick)).median;
      return [
        name,
        spread(spreadOf(of(serverUs))),
        spread(beside(serverUs)),
        number(median((row) => row.redisUs)),
        number(beside(bothUs).median),
        number(median((row) => row.perSecond)),
        number(beside((row) => row.perSecond).median),
        `${number(median((row) => row.p50))} / ${number(median((row) => row.p99))}`,
        percent(median((row) => row.serverBusy)),
        number(median((row) => row.generatorUs)),
        percent(median((row) => row.generatorBusy)) + flag(rows.get(name) ?? []),
      ];
    }),
  };
}

export function comparisonPlot({ rows }: Comparison, name: string, title: string): Plot {
  const medians = (pick: (row: Row) => number) =>
    [...rows.keys()].map((contender) => spreadOf(column(rows, contender, pick)).median);
  return {
    name,
    title,
    kind: 'bars',
    unit: 'µs of CPU time an operation',
    along: [...rows.keys()],
    series: [
      { name: 'server', values: medians(serverUs) },
      { name: 'Redis', values: medians((row) => row.redisUs) },
    ],
  };
}

const serverUs = (row: Row) => row.serverUs;
const bothUs = (row: Row) => row.serverUs + row.redisUs;

function column(rows: Comparison['rows'], name: string, pick: (row: Row) => number): number[] {
  return (rows.get(name) ?? []).map(pick);
}

/** A throughput that the generator set, and not the server, is none of the server's. */
function flag(rows: readonly Row[]): string {
  const busy = (pick: (row: Row) => number) => spreadOf(rows.map(pick)).median > 0.9;
  return busy((row) => row.generatorBusy) && !busy((row) => row.serverBusy) ? ' ⚠ generator-bound' : '';
}
