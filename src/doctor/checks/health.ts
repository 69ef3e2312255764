import { type ClockSample, dateSample } from '../clocks.ts';
import { type Door, Unreachable } from '../door.ts';
import { type Finding, fault, ok, skipped } from '../finding.ts';

export interface Health {
  finding: Finding;
  clock: ClockSample | undefined;
}

/**
 * Whether a node is alive and can serve, and what it says where it cannot.
 *
 * @param name of the node or entrance, for people
 * @param aheadMs how far Redis' clock, by which samples are taken, is ahead of ours
 */
export async function checkHealth(door: Door, name: string, aheadMs: number): Promise<Health> {
  const id = 'ready';
  try {
    const { status, json, headers, between } = await door.ask('/readyz');
    const clock = dateSample(name, headers.date, [between[0] + aheadMs, between[1] + aheadMs]);
    return { finding: judge(status, json), clock };
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    const todo = 'See whether its process runs, and where it listens: HOST and PORT.';
    return { finding: fault(id, `${name} cannot be reached: ${error.reason}.`, todo), clock: undefined };
  }

  function judge(status: number, { status: said, error_description: why }: Record<string, unknown>): Finding {
    if (status === 200 && said === 'ok') return ok(id, `${name} can serve.`);
    if (status === 200) {
      return fault(
        id,
        `${name} answers 200 at /readyz, and not as a broker.`,
        'See what stands there: another service, or a proxy with one page for every path.',
      );
    }
    if (status === 404) return skipped(id, `${name} does not show /readyz.`);
    const says = typeof why === 'string' ? `: ${why}` : '.';
    return fault(
      id,
      `${name} cannot serve (${status})${says}`,
      'See its log, and what is said of Redis here.',
    );
  }
}
