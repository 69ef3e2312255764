import { closeCodes } from '../../src/sessions/close-codes.ts';
import { number, spread } from '../format.ts';
import type { FanOut } from '../load/jobs.ts';
import { post } from '../load/wire.ts';
import { serviceKey } from '../process/product.ts';
import type { Plot, Table } from '../section.ts';
import { type Spread, spreadOf } from '../statistics.ts';
import type { SocketCrowd } from './socket-crowd.ts';

/** How fast a revocation was. Milliseconds after it was sent. */
export interface Reach {
  sockets: number;
  revoked: number;
  answered: Spread;
  closed: Spread;
}

const repeats = 3;

/** Subjects that hold `revoked` of all the sockets each, where there are enough to be some among many. */
export function subjectsToRevoke(sockets: number, sizes: readonly number[]): Map<number, string[]> {
  const fitting = sizes.filter((revoked) => revoked * repeats <= sockets / 2);
  const turns = Array.from({ length: repeats }, (_, turn) => turn);
  return new Map(
    fitting.map((revoked) => [revoked, turns.map((turn) => `revoked-${sockets}-${revoked}-${turn}`)]),
  );
}

/** Revokes these subjects, one after another. */
export async function measureReach(
  port: number,
  crowd: SocketCrowd,
  sockets: number,
  subjects: ReadonlyMap<number, readonly string[]>,
): Promise<Reach[]> {
  const reaches: Reach[] = [];
  for (const [revoked, names] of subjects) {
    const runs: FanOut[] = [];
    for (const sub of names) {
      const headers = { Authorization: `Bearer ${serviceKey}` };
      const request = post(port, '/revocations', headers, JSON.stringify({ sub }));
      runs.push(await crowd.closedBy(request, sub, closeCodes.revoked));
    }
    const of = (what: 'answeredMs' | 'closedMs') => spreadOf(runs.map((run) => run[what]));
    reaches.push({ sockets, revoked, answered: of('answeredMs'), closed: of('closedMs') });
  }
  return reaches;
}

export function reachTable(reaches: readonly Reach[]): Table {
  return {
    head: [
      'live sockets',
      'of the revoked subject',
      'answered after, ms',
      'last one closed after, ms',
      'that is after the answer, ms',
    ],
    rows: reaches.map(({ sockets, revoked, answered, closed }) => [
      number(sockets),
      number(revoked),
      spread(answered),
      spread(closed),
      number(Math.max(closed.median - answered.median, 0)),
    ]),
  };
}

export function reachPlot(
  reaches: readonly Reach[],
  sizes: readonly number[],
  steps: readonly number[],
): Plot {
  const at = (sockets: number, revoked: number) =>
    reaches.find((reach) => reach.sockets === sockets && reach.revoked === revoked)?.closed.median;
  return {
    name: 'revocation',
    title: 'How fast a revocation reaches its sockets',
    kind: 'lines',
    unit: 'ms until the last one is closed',
    along: steps.map(number),
    series: sizes.map((revoked) => ({
      name: `${number(revoked)} revoked`,
      values: steps.map((sockets) => at(sockets, revoked) ?? Number.NaN),
    })),
  };
}
