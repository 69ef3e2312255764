import type { Config } from '../config.ts';
import { checkHealth } from './checks/health.ts';
import { type Door, findDoor, Unreachable } from './door.ts';
import type { Examination, Known } from './examination.ts';
import { type Finding, fault } from './finding.ts';
import { isWildcard } from './public-host.ts';

/** The nodes that were named, at each address of their names, and the one of this environment where it runs here. */
export async function* examineNodes(
  { nodes, ca, insecure }: Examination,
  { config, aheadMs, clocks }: Known,
): AsyncGenerator<Finding> {
  const look = async (door: Door, name: string) => {
    const { finding, clock } = await checkHealth(door, name, aheadMs);
    if (clock) clocks.push(clock);
    return finding;
  };
  const own = config && (await ownNode(config));
  if (own) yield await look(own, `the node at ${own.url.host}`);
  for (const url of nodes) {
    let named: Door;
    try {
      named = await findDoor({ url, ca, insecure });
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      yield fault('ready', `${url.host} has no address: ${error.reason}.`, 'See what --node names.');
      continue;
    }
    for (const door of await everyAddress(named)) yield await look(door, `the node at ${door.url.host}`);
  }
}

async function ownNode({ HOST, PORT }: Config): Promise<Door | undefined> {
  if (PORT === 0) return undefined;
  const host = isWildcard(HOST) ? '127.0.0.1' : HOST;
  const url = new URL(`http://${host.includes(':') ? `[${host}]` : host}:${PORT}`);
  try {
    const door = await findDoor({ url });
    const { json } = await door.ask('/healthz');
    return json['status'] === 'ok' ? door : undefined;
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

/** Behind one name there may be several nodes; behind TLS, each has to show a certificate for the name. */
async function everyAddress(door: Door): Promise<Door[]> {
  if (door.url.protocol === 'https:' || door.addresses.length < 2) return [door];
  return Promise.all(
    door.addresses.map((address) => {
      const url = new URL(door.url);
      url.hostname = address.includes(':') ? `[${address}]` : address;
      return findDoor({ url });
    }),
  );
}
