import { number, percent, spread } from '../format.ts';
import type { ComingBack } from '../load/jobs.ts';
import { socketsAllowed } from '../process/open-files.ts';
import { startProduct } from '../process/product.ts';
import { startMeasuredRedis } from '../process/redis.ts';
import type { Bench, Section } from '../section.ts';
import { spreadOf } from '../statistics.ts';
import { userTokens } from './user-tokens.ts';

/** Offices, or proxies, that the clients sit behind. */
const addresses = 250;

/** Everybody loses the connection at once, and everybody comes back. */
export async function measureStorm(bench: Bench): Promise<Section> {
  await using started = new AsyncDisposableStack();
  const { sizes, generator, folder, progress } = bench;
  const clients = Math.min(sizes.sockets.at(-1) ?? 0, (await socketsAllowed()) - addresses);
  const redis = await startMeasuredRedis();
  started.defer(() => redis.stop());
  const program = await startProduct('product', folder, { REDIS_URL: redis.url });
  started.defer(() => program.stop());

  const tokens = await userTokens(clients);
  await generator.run('gather', { ports: [program.port], tokens, addresses });
  started.defer(() => generator.run('disperse', {}));
  const { concurrency } = sizes;
  const calm = (count: number) => generator.run('churn', { count, concurrency });

  progress(`storm: ${number(clients)} clients arrive`);
  mustHold(await calm(clients), clients);
  const rounds: { ideal: number; storm: ComingBack }[] = [];
  for (let round = 0; round < sizes.storms; round++) {
    progress(`storm: ${round + 1} of ${sizes.storms}`);
    const steady = await calm(sizes.churn);
    const ideal = (clients * steady.wallMs) / steady.operations;
    const storm = await generator.run('storm', {});
    mustHold(storm, clients);
    rounds.push({ ideal, storm });
  }

  const column = (pick: (round: (typeof rounds)[number]) => number) => spreadOf(rounds.map(pick));
  const ratio = column(({ ideal, storm }) => storm.wallMs / ideal);
  const refusals = column(({ storm }) => storm.limited + storm.unavailable + storm.lost);
  const seconds = (pick: (round: (typeof rounds)[number]) => number) =>
    spread(column((round) => pick(round) / 1000));
  return {
    title: 'Storm',
    text: `${number(clients)} clients lose their sockets at the same moment and come back at once, each with a new ticket for its token. They come from ${addresses} addresses, mint over one connection that each address keeps alive, as a proxy would, and wait as long as a 429 or 503 tells them to. All limits are at their defaults. The ideal is the same number at the rate at which clients come back ${concurrency} at a time while all others stay, measured right before each storm. Clients that had to wait their turn to mint waited at the proxy: that is in their time, too.`,
    tables: [
      {
        head: ['', `median (range) of ${sizes.storms}`],
        rows: [
          ['ideal, s', seconds(({ ideal }) => ideal)],
          ['until the last one is back, s', seconds(({ storm }) => storm.wallMs)],
          ['of the ideal', spread(ratio)],
          ['half of them are back after, s', seconds(({ storm }) => storm.p50)],
          ['99 % of them are back after, s', seconds(({ storm }) => storm.p99)],
          ['429', spread(column(({ storm }) => storm.limited))],
          ['503', spread(column(({ storm }) => storm.unavailable))],
          ['connections lost', spread(column(({ storm }) => storm.lost))],
          ['generator busy', percent(column(({ storm }) => storm.cpuUs / 1000 / storm.wallMs).median)],
        ],
      },
    ],
    plots: [],
    figures: { stormToIdeal: ratio, stormRefusals: refusals },
  };
}

function mustHold({ held }: ComingBack, clients: number): void {
  if (held !== clients) throw new Error(`storm: ${held} of ${clients} clients are connected afterwards`);
}
