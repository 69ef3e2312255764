import { number } from '../format.ts';
import type { Table } from '../section.ts';

/** Microseconds of CPU time for one client that comes back. */
export interface ComingBackCost {
  brokerUs: number;
  redisUs: number;
}

const sockets = 1_000_000;
const windowSeconds = 60;
/** What a core should do at most when everybody comes back, so that nobody waits long. */
const busy = 0.7;

/**
 * What a deployment needs whose clients all come back within a minute.
 *
 * @param bytesPerSocket of a process; undefined where that was not measured
 */
export function sheetTable({ brokerUs, redisUs }: ComingBackCost, bytesPerSocket: number | undefined): Table {
  const perSecond = sockets / windowSeconds;
  const brokerCores = (perSecond * brokerUs) / 1e6;
  const brokers = Math.ceil(brokerCores / busy);
  const redisCores = (perSecond * redisUs) / 1e6;
  const redisAllows = (busy * 1e6) / redisUs;
  const rows = [
    ['clients that come back in a second', `${number(sockets)} ÷ ${windowSeconds} s`, number(perSecond)],
    ['CPU of brokers for one, µs', 'measured above', number(brokerUs)],
    ['cores of brokers', 'the product of both', number(brokerCores)],
    ['**broker processes**, a core each', `÷ ${busy} busy`, `**${number(brokers)}**`],
    ['sockets of each', `${number(sockets)} ÷ processes`, number(sockets / brokers)],
    [
      'memory of each for them, GiB',
      bytesPerSocket ? '× what an idle socket weighs' : 'sockets were not measured in this run',
      bytesPerSocket ? number((sockets / brokers) * (bytesPerSocket / 2 ** 30)) : '–',
    ],
    ['CPU of Redis for one, µs', 'measured above', number(redisUs)],
    ['**Redis primaries**', `÷ ${busy} busy`, `**${number(Math.ceil(redisCores / busy))}**`],
    ['clients that one Redis lets back in a second', `${busy} s ÷ its CPU for one`, number(redisAllows)],
    ['sockets that one Redis is enough for', `× ${windowSeconds} s`, number(redisAllows * windowSeconds)],
    ['broker processes that one Redis carries', "Redis' CPU beside the brokers'", number(brokerUs / redisUs)],
  ];
  return {
    head: [
      `${number(sockets)} sockets that all come back within ${windowSeconds} s`,
      'reckoned from',
      'number',
    ],
    rows,
  };
}
