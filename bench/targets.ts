import { number, spread } from './format.ts';
import type { FigureName, Section, Table } from './section.ts';

interface Target {
  figure: FigureName;
  what: string;
  most: number;
  /** What the figure is divided by before it is shown. */
  unit?: number;
  /** Why it is not reached, as far as that is understood. */
  reason?: string;
}

const aboveBareWs =
  'what is above bare ws is the way in with its redemption, the session with its welcome, its entries in the list, and two log lines: no part of it is a tenth, see --profile';

const targets: readonly Target[] = [
  {
    figure: 'upgradeToHs256',
    what: 'upgrade ÷ an HS256 JWT on bare ws',
    most: 1,
    reason:
      'a check by WebCrypto costs about what a ticket’s whole way does (see the next but one), and which of them costs more depends on the processor',
  },
  {
    figure: 'upgradeToBareWs',
    what: 'upgrade ÷ bare ws',
    most: 1.9,
    reason: aboveBareWs,
  },
  {
    figure: 'upgradeToBareWs',
    what: 'upgrade ÷ bare ws, further',
    most: 1.5,
    reason: aboveBareWs,
  },
  {
    figure: 'mintCached',
    what: 'mint, token known ÷ bare Fastify',
    most: 1.35,
    reason:
      'no mint reaches it: one that is nothing but a nonce and one SET is above it, too (hand-made, in the table); ours also looks up who asks, counts twice, asks for the rooms, and writes a line of log',
  },
  {
    figure: 'mintUncached',
    what: 'mint, token new ÷ bare Fastify',
    most: 2.5,
    reason:
      'nor this: one that is a check by jose, a nonce and one SET is above it, too (hand-made, in the table), since jose checks by WebCrypto on another thread, and waking that one, and being woken, costs more than the check',
  },
  {
    figure: 'redisPerRedemption',
    what: 'µs of Redis CPU a redemption',
    most: 12,
    reason: 'the processor was shared: bare GETDEL, in the table, has as much more',
  },
  { figure: 'roundTrips', what: 'round trips an upgrade', most: 2 },
  { figure: 'bytesPerTicket', what: 'bytes an outstanding ticket', most: 400 },
  { figure: 'bytesPerTombstone', what: 'bytes a tombstone', most: 230 },
  {
    figure: 'redeemCpuAtMillion',
    what: 'CPU of a redemption, many ÷ few outstanding',
    most: 1.1,
    reason:
      'a million keys are not in the processor’s cache. Looked at apart, with 50 commands in one write: GETDEL alone takes 1.6 µs of a thousand and 4.2 of a million, with the SET 3.2 and 6.6; in the table, each GETDEL comes in a write of its own, which costs more than that and hides it',
  },
  {
    figure: 'redeemP50AtMillion',
    what: 'p50 of a redemption, many ÷ few outstanding',
    most: 1.1,
    reason:
      'as above: a bare GETDEL waits longer, too (in the table). It shows the more, the faster the machine is otherwise: where a round trip takes 140 µs it was 1.07',
  },
  { figure: 'bytesPerSocket', what: 'KiB of the process an idle socket', most: 20_000 / 1024, unit: 1024 },
  { figure: 'stormToIdeal', what: 'storm ÷ its ideal time', most: 1.2 },
  { figure: 'stormRefusals', what: 'honest clients refused in a storm', most: 0 },
];

/** What was aimed at beside what was measured. */
export function targetTable(figures: Section['figures']): Table {
  return {
    head: ['target', 'at most', 'measured', 'reached'],
    rows: targets.flatMap(({ figure, what, most, unit = 1, reason = 'not understood yet' }) => {
      const measured = figures[figure];
      if (!measured) return [];
      const { median, min, max } = measured;
      const shown = spread({ median: median / unit, min: min / unit, max: max / unit });
      return [[what, number(most), shown, median / unit <= most ? 'yes' : `no: ${reason}`]];
    }),
  };
}
