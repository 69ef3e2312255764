import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { number } from '../format.ts';
import { accepted, closeFrame, dial, handshake } from '../load/wire.ts';
import { type CountingProxy, startCountingProxy, type Traffic } from '../process/counting-proxy.ts';
import { origin, serviceKey, startProduct } from '../process/product.ts';
import { startMeasuredRedis } from '../process/redis.ts';
import type { Bench, Table } from '../section.ts';
import { type Spread, spreadOf } from '../statistics.ts';

/** What one client makes the product ask of Redis, step by step. */
interface Steps {
  mint: Traffic;
  /** What a handshake waits for. */
  upgrade: Traffic;
  /** What is done once the socket is open, and nobody waits for. */
  open: Traffic;
  close: Traffic;
}

/** Milliseconds in which a step that nobody waits for is over. */
const aWhile = 40;

/** How often the product asks Redis and waits, one client at a time through a proxy that counts. */
export async function measureRoundTrips({
  sizes,
  folder,
}: Bench): Promise<{ table: Table; upgrade: Spread }> {
  await using started = new AsyncDisposableStack();
  const redis = await startMeasuredRedis();
  started.defer(() => redis.stop());
  const proxy = await startCountingProxy(redis.port);
  started.defer(() => proxy.stop());
  const product = await startProduct('product', folder, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
  started.defer(() => product.stop());

  const clients: Steps[] = [];
  // The first ones bring the scripts and the tenure.
  for (let client = -3; client < sizes.lonelyClients; client++) {
    const steps = await oneClient(product.port, proxy);
    if (client >= 0) clients.push(steps);
  }
  const of = (step: keyof Steps, what: keyof Traffic) => spreadOf(clients.map((each) => each[step][what]));
  const row = (text: string, step: keyof Steps) => [
    text,
    number(of(step, 'roundTrips').median),
    number(of(step, 'commands').median),
  ];
  return {
    table: {
      head: ['one client at a time', 'round trips', 'commands sent'],
      rows: [
        row('mint, until its answer', 'mint'),
        row('upgrade, until the 101', 'upgrade'),
        row('after the 101, nobody waits', 'open'),
        row('after the close, nobody waits', 'close'),
      ],
    },
    upgrade: of('upgrade', 'roundTrips'),
  };
}

async function oneClient(port: number, proxy: CountingProxy): Promise<Steps> {
  proxy.take();
  const minted = await fetch(`http://127.0.0.1:${port}/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${serviceKey}`, 'content-type': 'application/json' },
    body: '{"sub":"alice"}',
  });
  const mint = proxy.take();
  const { ticket } = (await minted.json()) as { ticket: string };
  await sleep(aWhile);

  proxy.take();
  const socket = dial(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(handshake(port, `/ws?ticket=${ticket}`, origin));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  const upgrade = proxy.take();
  if (answer.indexOf(accepted) !== 0) throw new Error(`a handshake was answered with ${answer}`);
  await sleep(aWhile);
  const open = proxy.take();
  socket.end(closeFrame);
  await sleep(aWhile);
  return { mint, upgrade, open, close: proxy.take() };
}
