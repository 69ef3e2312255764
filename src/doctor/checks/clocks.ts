import type { Inspection } from '../../store/inspection.ts';
import { type ClockSample, skewOf } from '../clocks.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';

/** Milliseconds. */
const tolerated = 2000;

/** @returns also by how much Redis' clock is ahead of ours, in milliseconds; the middle one of three looks */
export async function checkRedisClock(
  redis: Inspection,
  now: () => number,
): Promise<{ finding: Finding; aheadMs: number }> {
  const looks: number[] = [];
  for (let look = 0; look < 3; look++) {
    const asked = now();
    const theirs = await redis.time();
    looks.push(theirs - (asked + now()) / 2);
  }
  const aheadMs = looks.sort((a, b) => a - b)[1] ?? 0;
  if (Math.abs(aheadMs) <= tolerated) {
    return { finding: ok('clock-redis', "This machine's clock and that of Redis agree."), aheadMs };
  }
  const finding = warning(
    'clock-redis',
    `The clock of Redis is ${seconds(aheadMs)} of this machine's.`,
    'Let both follow NTP: if a node runs here, its sessions end early or late.',
  );
  return { finding, aheadMs };
}

/** @param samples of as many nodes as could be asked */
export function checkNodeClocks(samples: readonly ClockSample[]): Finding {
  const id = 'clock-nodes';
  if (samples.length === 0) return skipped(id, 'No node has told the time.');
  const worst = samples.reduce((a, b) => (Math.abs(skewOf(b)) > Math.abs(skewOf(a)) ? b : a));
  const skew = skewOf(worst);
  if (Math.abs(skew) <= tolerated) {
    return ok(id, `The clocks agree, in ${samples.length} looks at them.`);
  }
  return fault(
    id,
    `The clock of ${worst.of} is ${seconds(skew)}: who is revoked by one node is let in by another.`,
    'Let all nodes follow NTP.',
  );
}

function seconds(ms: number): string {
  return `${(Math.abs(ms) / 1000).toFixed(1)} s ${ms > 0 ? 'ahead' : 'behind'}`;
}
