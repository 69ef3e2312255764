import { BrokerError } from '../errors.ts';
import { checkAdmission } from './checks/admission.ts';
import { checkEntrance, checkTls } from './checks/entrance.ts';
import { checkFeed } from './checks/feed.ts';
import { checkHealth } from './checks/health.ts';
import { checkOutside } from './checks/outside.ts';
import { checkProxyLog } from './checks/proxy-log.ts';
import { type Door, findDoor, Unreachable } from './door.ts';
import type { Examination, Known } from './examination.ts';
import { type Finding, fault, redisStopped, skipped } from './finding.ts';

const needingUrl = ['url', 'verify-outside', 'admission', 'replay', 'client-address', 'feed'];

/** What visitors meet, tried as one of them. */
export async function* examineEntrance(examination: Examination, known: Known): AsyncGenerator<Finding> {
  const { url, ca, insecure, path, proxyLog, doing, now } = examination;
  const wsPath = path ?? known.config?.WS_PATH[0] ?? '/ws';
  if (!url) {
    for (const id of needingUrl) yield skipped(id, 'There is no --url to ask at.');
    if (proxyLog) yield await checkProxyLog(proxyLog, undefined, wsPath);
    return;
  }

  doing(`asking at ${url.origin}`);
  let door: Door;
  try {
    door = await findDoor({ url, ca, insecure });
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    yield fault('url', `${url.host} has no address: ${error.reason}.`, 'See what --url names.');
    return;
  }
  yield await checkTls(door, now, insecure);
  const entrance = await checkEntrance(door);
  yield entrance;
  if (entrance.severity !== 'ok') {
    for (const id of needingUrl.slice(1)) yield skipped(id, 'Nobody answers at --url as a broker should.');
    if (proxyLog) yield await checkProxyLog(proxyLog, undefined, wsPath);
    return;
  }
  yield* await whileReachable('ready', () => health(door, known));
  yield* await whileReachable('verify-outside', () => checkOutside(door, known.config));

  doing('opening sockets, and one of them again');
  yield* await whileReachable('admission', () => admission(door, wsPath, examination, known));
  if (proxyLog) {
    doing('looking for a ticket in the log of the proxy');
    yield await checkProxyLog(proxyLog, door, wsPath);
  }
  doing('following a revocation');
  yield* await whileReachable('feed', () => feed(door, examination, known));
}

async function health(door: Door, { aheadMs, clocks }: Known): Promise<Finding[]> {
  const { finding, clock } = await checkHealth(door, door.url.origin, aheadMs);
  if (clock) clocks.push(clock);
  return [finding];
}

async function admission(
  door: Door,
  path: string,
  { credential, now }: Examination,
  { redis, config, clocks }: Known,
): Promise<Finding[]> {
  const seen = await checkAdmission({ door, path, redis, credential, config, now });
  clocks.push(...seen.clocks);
  return seen.findings;
}

async function feed(door: Door, { credential }: Examination, { aheadMs, clocks }: Known): Promise<Finding[]> {
  if (credential?.kind !== 'key')
    return [skipped('feed', 'There is no service key, which it takes to revoke.')];
  const { finding, clock } = await checkFeed(door, credential, aheadMs);
  if (clock) clocks.push(clock);
  return [finding];
}

/** A check that is cut short has not found anything but that. */
async function whileReachable(id: string, check: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await check();
  } catch (error) {
    if (error instanceof Unreachable) {
      return [
        fault(id, `--url stopped answering: ${error.reason}.`, 'See the log of the proxy and of the nodes.'),
      ];
    }
    if (error instanceof BrokerError) {
      return [redisStopped(id, error.reason)];
    }
    throw error;
  }
}
