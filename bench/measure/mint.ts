import { number, spread } from '../format.ts';
import { post } from '../load/wire.ts';
import { jwtSecret, serviceKey, startProduct, user } from '../process/product.ts';
import { type Program, startProgram } from '../process/program.ts';
import { type MeasuredRedis, startMeasuredRedis } from '../process/redis.ts';
import { type Entrant, interleaved } from '../rounds.ts';
import type { Bench, Section, Table } from '../section.ts';
import { spreadOf } from '../statistics.ts';
import { comparisonPlot, comparisonTable, cpuRatio } from './comparison.ts';
import { profiled } from './profiled.ts';
import { subjects } from './tickets.ts';
import { userTokens } from './user-tokens.ts';
import { costOf, type Row } from './window.ts';

const cached = 'product, token known';
const uncached = 'product, token new';
const bareFastify = 'bare Fastify';

/** `POST /tickets`, beside the framework that answers the same. */
export async function measureMint(bench: Bench): Promise<Section> {
  await using started = new AsyncDisposableStack();
  const { sizes, folder, progress } = bench;
  const { operations, concurrency } = sizes;

  const redis = await startMeasuredRedis();
  started.defer(() => redis.stop());
  const limits = { MINT_LIMIT: '1000000', LOGIN_LIMIT: '0' };
  const shared = await startProduct('product', folder, { ...limits, REDIS_URL: redis.url });
  started.defer(() => shared.stop());
  const alone = await startProduct('product, memory', folder, limits);
  started.defer(() => alone.stop());
  const begin = async (name: string, file: string, env: NodeJS.ProcessEnv = {}): Promise<Program> => {
    const program = await startProgram({ name, args: [`bench/contenders/${file}.ts`], env, folder });
    started.defer(() => program.stop());
    return program;
  };
  const bare = await begin(bareFastify, 'bare-fastify');
  const handMade = { REDIS_URL: redis.url };
  const nonceOnly = await begin('nonce and SET', 'hand-made-mint', handMade);
  const jwtAndNonce = await begin('jose, nonce and SET', 'hand-made-mint', {
    ...handMade,
    JWT_SECRET: jwtSecret,
  });

  const known = await userTokens(concurrency);
  const byToken = (program: Program, tokens: readonly string[]) =>
    Array.from({ length: operations }, (_, index) =>
      post(program.port, '/tickets', { Authorization: `Bearer ${tokens[index % tokens.length]}` }),
    );
  const byService = (program: Program) =>
    subjects(operations).map((sub) =>
      post(
        program.port,
        '/tickets',
        { Authorization: `Bearer ${serviceKey}` },
        JSON.stringify({ sub, username: sub }),
      ),
    );

  const entrant = (
    name: string,
    program: Program,
    requests: () => Promise<string[]>,
    store?: MeasuredRedis,
  ): Entrant<Row> => ({
    name,
    async run() {
      const texts = await requests();
      const load = () => sendAll(bench, program, texts, 201);
      return profiled({ ...program, name }, 'mint', bench.profiles, () =>
        costOf({ programs: [program], redis: store }, load),
      );
    },
  });
  const entrants = [
    entrant(cached, shared, async () => byToken(shared, known), redis),
    entrant(uncached, shared, async () => byToken(shared, await userTokens(operations)), redis),
    entrant('product, service key', shared, async () => byService(shared), redis),
    entrant('product, memory, token known', alone, async () => byToken(alone, known)),
    entrant(bareFastify, bare, async () => byToken(bare, known)),
    entrant('bare Fastify, JSON body', bare, async () => byService(bare)),
    entrant('hand-made: nonce, SET', nonceOnly, async () => byToken(nonceOnly, known), redis),
    entrant('hand-made: jose, nonce, SET', jwtAndNonce, async () => byToken(jwtAndNonce, known), redis),
  ];
  const rows = await interleaved(entrants, { ...sizes, onRound: (text) => progress(`mint: ${text}`) });
  const logins = await measureLogin(bench, shared);

  const comparison = { rows, limit: bareFastify };
  return {
    title: 'Mint',
    text: `\`POST /tickets\` over ${concurrency} connections that are kept alive, ${operations} in a round. *Token known*: the same tokens again, as a client that reconnects sends them; *token new*: each is seen for the first time, and its signature checked. Mints are counted, per address and per subject, and logged. The hand-made ones are the least that a mint can be: nobody is limited, nothing is logged, and where jose is named, it checks every token anew.`,
    tables: [comparisonTable(comparison), logins],
    plots: [comparisonPlot(comparison, 'mint', 'What one mint costs')],
    figures: {
      mintCached: cpuRatio(rows, cached, bareFastify),
      mintUncached: cpuRatio(rows, uncached, bareFastify),
    },
  };
}

function sendAll({ generator, sizes }: Bench, program: Program, requests: string[], status: number) {
  return generator.run('request', { port: program.port, connections: sizes.concurrency, requests, status });
}

/** Passwords are slow on purpose: a few are enough. */
async function measureLogin(bench: Bench, program: Program): Promise<Table> {
  const rows: Row[] = [];
  for (let round = 0; round < Math.min(bench.sizes.rounds, 3); round++) {
    const login = post(program.port, '/api/login', {}, JSON.stringify(user));
    const logins = Array.from({ length: bench.sizes.logins }, () => login);
    rows.push(await costOf({ programs: [program] }, () => sendAll(bench, program, logins, 200)));
  }
  const column = (pick: (row: Row) => number) => spreadOf(rows.map(pick));
  return {
    head: ['login with a password (argon2id)', 'server, ms of CPU', 'per second'],
    rows: [
      [
        'product',
        spread(column((row) => row.serverUs / 1000)),
        number(column((row) => row.perSecond).median),
      ],
    ],
  };
}
