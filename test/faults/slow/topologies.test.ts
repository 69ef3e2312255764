import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { type Contender, contend } from '../../support/contenders.ts';
import { doubleUse, freshTickets, tally, works } from '../../support/double-use.ts';
import { report } from '../../support/fault-table.ts';
import type { RedisServer } from '../../support/redis-server.ts';
import {
  type ClusterTopology,
  command,
  cutReplicas,
  infoOf,
  inSync,
  replicaOf,
  startCluster,
  startSentinels,
  type Topology,
  until,
} from '../../support/redis-topologies.ts';

const run = promisify(execFile);
const started: Topology[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((topology) => topology.dispose()));
});

async function up<T extends Topology>(start: () => Promise<T>): Promise<T> {
  const topology = await start();
  started.push(topology);
  return topology;
}

async function promoted(replica: RedisServer): Promise<void> {
  await until('the promotion', async () => (await infoOf(replica, 'replication'))['role'] === 'master', 60);
}

/** Resolves when the sentinels send everybody to the new primary. */
async function announced(replica: RedisServer, sentinels: readonly RedisServer[]): Promise<void> {
  await until('the sentinels to agree', async () => {
    const named = sentinels.map((sentinel) =>
      command(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'tickets'),
    );
    return (await Promise.all(named)).every((address) => (address as string[])[1] === `${replica.port}`);
  });
}

function firstOf(cluster: ClusterTopology): RedisServer {
  const [primary] = cluster.primaries;
  if (!primary) throw new Error('no primary');
  return primary;
}

describe('Sentinel', () => {
  test('a used ticket stays used when a replica that lagged is promoted', async () => {
    const { url, primary, replica } = await up(startSentinels);
    await doubleUse({
      fault: 'Sentinel promotes a lagging replica',
      url,
      async prepare() {
        await inSync(replica, primary);
        await cutReplicas(primary);
      },
      async strike() {
        await primary.stop('SIGKILL');
        await promoted(replica);
        return undefined;
      },
      fooled: ['bare GETDEL'],
    });
  });

  test('a used ticket stays used when the primary only hung, and comes back', async () => {
    const { url, primary, replica, sentinels } = await up(startSentinels);
    await doubleUse({
      fault: 'Sentinel: primary hangs, replica promoted, primary resumes',
      url,
      async prepare() {
        await inSync(replica, primary);
        await cutReplicas(primary);
      },
      async strike() {
        primary.process.kill('SIGSTOP');
        await announced(replica, sentinels);
        primary.process.kill('SIGCONT');
        return url;
      },
      fooled: ['bare GETDEL'],
    });
  });
});

describe('Cluster', () => {
  test('a used ticket stays used when a replica that lagged takes over', async () => {
    const cluster = await up(startCluster);
    const primary = firstOf(cluster);
    const replica = await replicaOf(cluster, primary);
    await doubleUse({
      fault: 'Cluster promotes a lagging replica',
      url: cluster.url,
      tickets: 300,
      async prepare() {
        await inSync(replica, primary);
        await cutReplicas(primary);
      },
      async strike() {
        await primary.stop('SIGKILL');
        await promoted(replica);
        return undefined;
      },
      fooled: ['bare GETDEL'],
    });
  });

  test('a ticket that was on its way when the primary hung opens once at most', async () => {
    const cluster = await up(startCluster);
    const primary = firstOf(cluster);
    const replica = await replicaOf(cluster, primary);
    const names = ['product', 'bare GETDEL'] as const;
    const doubles: Record<string, string> = {};
    let refusals: Record<string, number> = {};
    const inFlight: { name: string; contender: Contender; ids: string[]; first: Promise<string>[] }[] = [];
    for (const name of names) {
      const contender = contend(name, cluster.url);
      await works(contender);
      const ids = await Promise.all(Array.from({ length: 300 }, () => contender.mint()));
      inFlight.push({ name, contender, ids, first: [] });
    }
    await inSync(replica, primary);
    primary.process.kill('SIGSTOP');
    for (const flight of inFlight) flight.first = flight.ids.map((id) => flight.contender.redeem(id));
    await promoted(replica);
    const late = names.map((name) => contend(name, cluster.url));
    await Promise.all(late.map(works));
    const second = await Promise.all(
      inFlight.map(({ ids }, index) => Promise.all(ids.map((id) => late[index]?.redeem(id) ?? ''))),
    );
    primary.process.kill('SIGCONT');

    for (const [index, { name, first }] of inFlight.entries()) {
      const answers = await Promise.all(first);
      const again = second[index] ?? [];
      doubles[name] =
        `${answers.filter((answer, i) => answer === 'opened' && again[i] === 'opened').length}/300`;
      if (name === 'product') {
        refusals = tally(again.filter((answer) => answer !== 'opened'));
        // What hung was refused in time; it is not known to be spent, and the fence refuses it.
        expect(tally(answers)['store_unavailable']).toBeGreaterThan(0);
        expect(refusals['fenced']).toBeGreaterThan(0);
      }
    }
    const fresh = await freshTickets(late);
    report({
      fault: 'Cluster primary paused with redemptions on their way, and resumed',
      doubles,
      refusals,
      fresh,
    });
    expect(doubles['product']).toBe('0/300');
    expect(fresh).toBe(100);
    for (const contender of [...late, ...inFlight.map((flight) => flight.contender)]) await contender.close();
  });

  test('a ticket opens once at most while its slot moves to another primary', async () => {
    const cluster = await up(startCluster);
    const [from, to] = cluster.primaries;
    if (!from || !to) throw new Error('no primaries');
    const names = ['product', 'bare GETDEL'] as const;
    const contenders = names.map((name) => contend(name, cluster.url));
    await Promise.all(contenders.map(works));
    const minted = await Promise.all(
      contenders.map((contender) => Promise.all(Array.from({ length: 2000 }, () => contender.mint()))),
    );
    const [fromId, toId] = [await command(from, 'CLUSTER', 'MYID'), await command(to, 'CLUSTER', 'MYID')];
    let moving = true;
    const move = run('redis-cli', [
      '--cluster',
      'reshard',
      `127.0.0.1:${from.port}`,
      ...['--cluster-from', String(fromId), '--cluster-to', String(toId), '--cluster-slots', '5000'],
      ...['--cluster-yes', '--cluster-pipeline', '1'],
    ]).finally(() => {
      moving = false;
    });

    const opened = contenders.map(() => new Map<string, number>());
    const refusals: Record<string, number> = {};
    const present = async (index: number, id: string) => {
      const answer = await contenders[index]?.redeem(id);
      if (answer === 'opened') opened[index]?.set(id, (opened[index].get(id) ?? 0) + 1);
      else if (names[index] === 'product') refusals[answer ?? ''] = (refusals[answer ?? ''] ?? 0) + 1;
    };
    // A few at a time, so that the move is under way from the first ticket to the last.
    for (let next = 0; next < 2000; next += 10) {
      const few = minted.flatMap((ids, index) => ids.slice(next, next + 10).map((id) => ({ index, id })));
      await Promise.all([...few, ...few].map(({ index, id }) => present(index, id)));
      if (moving) await sleep(40);
    }
    await move;
    await Promise.all(minted.flatMap((ids, index) => ids.map((id) => present(index, id))));
    const doubles = Object.fromEntries(
      names.map((name, index) => [
        name,
        `${[...(opened[index]?.values() ?? [])].filter((times) => times > 1).length}/2000`,
      ]),
    );
    expect(moving).toBe(false);
    await Promise.all(contenders.map(works));
    const fresh = await freshTickets(contenders);
    report({ fault: 'Cluster slots move while tickets are used', doubles, refusals, fresh });
    expect(doubles['product']).toBe('0/2000');
    // Those that were used, and those that moved unspent and changed their primary with it.
    expect(refusals['used']).toBeGreaterThan(0);
    expect(refusals['fenced']).toBeGreaterThan(0);
    expect(fresh).toBe(100);
    for (const contender of contenders) await contender.close();
  });
});
