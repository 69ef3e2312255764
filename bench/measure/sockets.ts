import { number } from '../format.ts';
import { socketsAllowed } from '../process/open-files.ts';
import { startProduct } from '../process/product.ts';
import { startProgram } from '../process/program.ts';
import { startMeasuredRedis } from '../process/redis.ts';
import type { Bench, Section } from '../section.ts';
import { spreadOf } from '../statistics.ts';
import { measureReach, type Reach, reachPlot, reachTable, subjectsToRevoke } from './reach.ts';
import { socketCrowd } from './socket-crowd.ts';
import { type Weighed, weigh, weightPlot, weightTable } from './socket-weight.ts';
import { mintTickets, subjects } from './tickets.ts';

/** What an idle socket weighs, and how fast a revocation reaches its subject's among many. */
export async function measureSockets(bench: Bench): Promise<Section> {
  const { sizes, progress } = bench;
  const allowed = await socketsAllowed();
  const steps = [...new Set(sizes.sockets.map((count) => Math.min(count, allowed)))];
  const wanted = sizes.sockets.at(-1) ?? 0;

  progress('sockets: product');
  const { weighed, reaches } = await measureProduct(bench, steps);
  progress('sockets: bare ws');
  const bare = await measureOpenDoor(bench, 'bare ws', 'bare-ws', steps);
  progress('sockets: @fastify/websocket');
  const framework = await measureOpenDoor(bench, '@fastify/websocket', 'fastify-websocket', steps);

  const all = [weighed, bare, framework];
  const capped =
    wanted > allowed
      ? ` The system lets a process hold ${number(allowed)} sockets and not ${number(wanted)}: that is as far as this goes.`
      : '';
  return {
    title: 'Live sockets',
    text: `Idle sockets of as many subjects, after a full garbage collection; what the process weighed before the first one is taken off, what the kernel holds for a connection is not in it.${capped} Then a subject is revoked whose sockets are some of them: the time until the last has had its 3003.`,
    tables: [weightTable(all), reachTable(reaches)],
    plots: [weightPlot(all, steps), reachPlot(reaches, sizes.revoked, steps)],
    figures: { bytesPerSocket: spreadOf(weighed.weights.slice(-1).map(({ rss }) => rss)) },
  };
}

async function measureProduct(
  bench: Bench,
  steps: readonly number[],
): Promise<{ weighed: Weighed; reaches: Reach[] }> {
  await using started = new AsyncDisposableStack();
  const { sizes, generator, folder, progress } = bench;
  const redis = await startMeasuredRedis();
  started.defer(() => redis.stop());
  const program = await startProduct('product', folder, { REDIS_URL: redis.url, MINT_LIMIT: '0' });
  started.defer(() => program.stop());

  const crowd = socketCrowd(bench, program, async (group, count) => {
    const names = group === 'idle' ? subjects(count) : Array.from({ length: count }, () => group);
    return (await mintTickets(generator, program, names)).map((ticket) => `/ws?ticket=${ticket}`);
  });
  const reaches: Reach[] = [];
  const weighed = await weigh({
    program,
    redis,
    crowd,
    steps,
    async before(sockets) {
      for (const [count, names] of subjectsToRevoke(sockets, sizes.revoked)) {
        for (const sub of names) await crowd.open(sub, count);
      }
    },
    async at(sockets) {
      progress(`sockets: revoking some of ${number(sockets)}`);
      const groups = subjectsToRevoke(sockets, sizes.revoked);
      reaches.push(...(await measureReach(program.port, crowd, sockets, groups)));
    },
  });
  return { weighed, reaches };
}

async function measureOpenDoor(
  bench: Bench,
  name: string,
  file: string,
  steps: readonly number[],
): Promise<Weighed> {
  await using started = new AsyncDisposableStack();
  const args = [`bench/contenders/${file}.ts`];
  const program = await startProgram({ name, args, folder: bench.folder });
  started.defer(() => program.stop());
  const crowd = socketCrowd(bench, program, async (_group, count) => Array(count).fill('/ws'));
  // Not before it is weighed is the program stopped.
  return await weigh({ program, crowd, steps });
}
