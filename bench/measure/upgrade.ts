import type { LoadReport } from '../load/jobs.ts';
import { origin, startProduct } from '../process/product.ts';
import { type Program, startProgram } from '../process/program.ts';
import { type MeasuredRedis, startMeasuredRedis } from '../process/redis.ts';
import { interleaved } from '../rounds.ts';
import type { Bench, Section } from '../section.ts';
import { comparisonPlot, comparisonTable, cpuRatio } from './comparison.ts';
import { type Algorithm, signedTokens } from './jwt.ts';
import { profiled } from './profiled.ts';
import { mintTickets, subjects } from './tickets.ts';
import { costOf } from './window.ts';

interface Contender {
  program: Program;
  redis?: MeasuredRedis;
  /** Path and query of as many handshakes that are let in. */
  targets: () => Promise<string[]>;
  /** Path and query of one that must be refused, where anybody is. */
  stranger?: () => Promise<string>;
}

const product = 'product';
const bareWs = 'bare ws';
const oneByOne = { concurrency: 1, sources: 1 };
const jwt = (alg: Algorithm) => `${alg} JWT on ws`;

/** An upgrade with a ticket, beside no authentication at all, and beside what else people put there. */
export async function measureUpgrade(bench: Bench): Promise<Section> {
  await using started = new AsyncDisposableStack();
  const contenders = await startAll(bench, started);
  const { sizes, generator, profiles, progress } = bench;
  const { concurrency } = sizes;

  const upgrade = (program: Program, targets: string[]): Promise<LoadReport> =>
    generator.run('upgrade', { ports: [program.port], targets, origin, concurrency, sources: concurrency });

  for (const { program, stranger } of contenders) {
    if (stranger) await mustRefuse(program, await stranger(), (target) => upgrade(program, [target]));
  }
  const entrants = contenders.map(({ program, redis, targets }) => ({
    name: program.name,
    async run() {
      const offered = await targets();
      return profiled(program, 'upgrade', profiles, () =>
        costOf({ programs: [program], redis }, () => upgrade(program, offered)),
      );
    },
  }));
  const rows = await interleaved(entrants, { ...sizes, onRound: (text) => progress(`upgrade: ${text}`) });

  const comparison = { rows, limit: bareWs };
  return {
    title: 'Upgrade',
    text: `A client shakes hands with an \`Origin\`, waits for the 101, sends a close frame and takes what comes until the server has closed; ${concurrency} at a time, from as many addresses, ${sizes.operations} in a round. The tickets are minted before. The product is two processes, as in docker-compose, and the one that admits is measured (with the embedded store it is one that does both). It checks origin, attempts and ticket in Redis, writes the tombstone, welcomes, registers and unregisters the session, and logs both; the others do what their name says.`,
    tables: [comparisonTable(comparison)],
    plots: [comparisonPlot(comparison, 'upgrade', 'What one upgrade costs')],
    figures: {
      upgradeToBareWs: cpuRatio(rows, product, bareWs),
      upgradeToHs256: cpuRatio(rows, product, jwt('HS256')),
    },
  };
}

async function startAll(bench: Bench, started: AsyncDisposableStack): Promise<Contender[]> {
  const { sizes, generator, folder } = bench;
  const names = subjects(sizes.operations);

  const begin = async (name: string, file: string, env: NodeJS.ProcessEnv = {}): Promise<Program> => {
    const args = [`bench/contenders/${file}.ts`];
    const program = await startProgram({ name, args, env, folder });
    started.defer(() => program.stop());
    return program;
  };
  const beginRedis = async (): Promise<MeasuredRedis> => {
    const redis = await startMeasuredRedis();
    started.defer(() => redis.stop());
    return redis;
  };
  const withTickets = (program: Program, minter = program) => ({
    program,
    targets: async () =>
      (await mintTickets(generator, minter, names)).map((ticket) => `/ws?ticket=${ticket}`),
    // Whoever comes with a ticket that has been used.
    async stranger() {
      const [ticket] = await mintTickets(generator, minter, names.slice(0, 1));
      const target = `/ws?ticket=${ticket}`;
      await generator.run('upgrade', { ports: [program.port], targets: [target], origin, ...oneByOne });
      return target;
    },
  });
  const ours = async (name: string, env: NodeJS.ProcessEnv): Promise<Program> => {
    const program = await startProduct(name, folder, { MINT_LIMIT: '0', ...env });
    started.defer(() => program.stop());
    return program;
  };
  /** As docker-compose runs it: one tier mints, and the one that is measured admits. */
  const twoTiers = async (name: string, env: NodeJS.ProcessEnv = {}): Promise<Contender> => {
    const redis = await beginRedis();
    const shared = { ...env, REDIS_URL: redis.url };
    const minter = await ours(`${name}, http tier`, { ...shared, TIERS: 'http' });
    const program = await ours(name, { ...shared, TIERS: 'ws' });
    return { ...withTickets(program, minter), redis };
  };
  const tutorial = async (redis: MeasuredRedis): Promise<Contender> => {
    const program = await begin('tutorial (express, GETDEL)', 'tutorial', { REDIS_URL: redis.url });
    return { ...withTickets(program), redis };
  };
  const withJwt = async (alg: Algorithm): Promise<Contender> => {
    const { jwk, tokens } = await signedTokens(alg, names);
    const program = await begin(jwt(alg), 'jwt-ws', { JWT_KEY: JSON.stringify(jwk) });
    const targets = tokens.map((token) => `/ws?token=${token}`);
    return {
      program,
      targets: async () => targets,
      stranger: async () => `${targets[0]?.slice(0, -8)}AAAAAAAA`,
    };
  };
  const open = async (name: string, file: string): Promise<Contender> => ({
    program: await begin(name, file),
    targets: async () => names.map(() => '/ws'),
  });

  return [
    await twoTiers(product),
    await twoTiers('product, no attempt counter', { ATTEMPT_LIMIT: '0' }),
    withTickets(await ours('product, memory', {})),
    withTickets(await ours('product, memory, no attempt counter', { ATTEMPT_LIMIT: '0' })),
    await open(bareWs, 'bare-ws'),
    await open('@fastify/websocket', 'fastify-websocket'),
    await withJwt('HS256'),
    await withJwt('RS256'),
    await withJwt('ES256'),
    await tutorial(await beginRedis()),
  ];
}

/** A door that lets everybody in would win every race. */
async function mustRefuse(
  { name }: Program,
  target: string,
  upgrade: (target: string) => Promise<unknown>,
): Promise<void> {
  const outcome = await upgrade(target).then(
    () => 'a 101',
    (error: Error) => error.message,
  );
  if (!outcome.includes('HTTP/1.1 401')) {
    throw new Error(`${name} answers a stranger with ${outcome}, not 401`);
  }
}
