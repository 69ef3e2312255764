import { startProduct } from '../process/product.ts';
import type { Program } from '../process/program.ts';
import { startMeasuredRedis } from '../process/redis.ts';
import { interleaved } from '../rounds.ts';
import type { Bench, Section } from '../section.ts';
import { spreadOf } from '../statistics.ts';
import { comparisonTable } from './comparison.ts';
import { sheetTable } from './sheet.ts';
import { userTokens } from './user-tokens.ts';
import { costOf, type Row } from './window.ts';

const addresses = 250;
const one = 'one broker';

/** Whether more brokers do more, what one Redis allows, and what that makes of a large deployment. */
export async function measureScaling(bench: Bench): Promise<Section> {
  await using started = new AsyncDisposableStack();
  const { sizes, generator, folder, progress } = bench;
  const { concurrency } = sizes;

  const entrant = async (name: string, brokers: number) => {
    const redis = await startMeasuredRedis();
    started.defer(() => redis.stop());
    const programs: Program[] = [];
    for (let index = 0; index < brokers; index++) {
      // Clients come from the same addresses round after round, faster than people would.
      const env = { REDIS_URL: redis.url, MINT_LIMIT: '1000000' };
      const program = await startProduct(`${name}, ${index + 1}`, folder, env);
      started.defer(() => program.stop());
      programs.push(program);
    }
    const tokens = await userTokens(sizes.scaling);
    return {
      name,
      async run(): Promise<Row> {
        await generator.run('gather', { ports: programs.map(({ port }) => port), tokens, addresses });
        await generator.run('churn', { count: sizes.scaling, concurrency });
        const churn = { count: sizes.operations, concurrency };
        const row = await costOf({ programs, redis }, () => generator.run('churn', churn));
        await generator.run('disperse', {});
        return row;
      },
    };
  };
  const entrants = [await entrant(one, 1), await entrant('two brokers', 2)];
  const rows = await interleaved(entrants, { ...sizes, onRound: (text) => progress(`scaling: ${text}`) });

  const median = (pick: (row: Row) => number) => spreadOf((rows.get(one) ?? []).map(pick)).median;
  const costs = { brokerUs: median((row) => row.serverUs), redisUs: median((row) => row.redisUs) };
  return {
    title: 'Scaling',
    text: `A client that lost its socket comes back: one mint, one upgrade, and the close of the old one. ${concurrency} at a time, spread over the brokers by turns, while ${sizes.scaling} are connected. Where there are no more cores than brokers, Redis and generator need, it is the CPU time that tells whether another broker adds its own: it stays what it was. The sheet below reckons with these numbers.`,
    tables: [comparisonTable({ rows, limit: one }), sheetTable(costs, bench.figures.bytesPerSocket?.median)],
    plots: [],
    figures: {},
  };
}
