import type { Config } from '../../config.ts';
import { type Answer, type Door, findDoor, Unreachable } from '../door.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';
import { isWildcard } from '../public-host.ts';

/** What only a proxy may ask, and what only an operator should see, asked from outside. */
export async function checkOutside(door: Door, config: Config | undefined): Promise<Finding[]> {
  return [await checkVerify(door), await checkMetrics(door, config)];
}

/** A broker's own answers at `/verify`, whichever they are; a node without it says `not_found`. */
async function checkVerify(door: Door): Promise<Finding> {
  const id = 'verify-outside';
  const answer = await asked(door, '/verify');
  const error = answer?.json['error'];
  if (!answer) return skipped(id, 'Nobody answered at /verify.');
  if (typeof error !== 'string' || error === 'not_found') {
    return ok(id, 'The world does not reach /verify.');
  }
  return fault(
    id,
    `/verify answers from outside (${answer.status} ${error}): whoever asks there can say of themselves what only the proxy should.`,
    'Let the proxy answer 404 for /verify, as examples/ does.',
  );
}

async function checkMetrics(door: Door, config: Config | undefined): Promise<Finding> {
  const id = 'metrics-outside';
  const { METRICS_PORT: port, HOST: host = '' } = config ?? {};
  if (isMetrics(await asked(door, '/metrics'))) {
    return warning(id, 'The world may read /metrics.', 'Let the proxy answer 404 for /metrics.');
  }
  // Whoever is on the machine may, anyway.
  if (!port || !isWildcard(host)) return ok(id, 'The world does not reach /metrics.');
  const url = new URL(door.url);
  Object.assign(url, { protocol: 'http:', port });
  const direct = await findDoor({ url }).catch(() => undefined);
  if (!direct || !isMetrics(await asked(direct, '/metrics')))
    return ok(id, 'The world does not reach /metrics.');
  return warning(
    id,
    `The world may read /metrics at ${url.host}: METRICS_PORT is open on ${host}.`,
    'Let a firewall or the network keep the world from it, or bind HOST to an inner address.',
  );
}

function isMetrics(answer: Answer | undefined): boolean {
  return answer?.status === 200 && /^# (HELP|TYPE) /m.test(answer.body);
}

function asked(door: Door, path: string): Promise<Answer | undefined> {
  return door.ask(path).catch((error: unknown) => {
    if (error instanceof Unreachable) return undefined;
    throw error;
  });
}
