import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FanOut, FanOutJob, LoadReport, OpenJob } from './jobs.ts';
import { Connection } from './requests.ts';
import { Timing } from './timing.ts';
import { accepted, attend, closeFrame, dial, handshake, sourceAddress } from './wire.ts';
import { inParallel } from './workers.ts';

interface Held {
  socket: Socket;
  /** Settles with the close code; rejects when the connection ends without one. */
  closed: Promise<number>;
}

/** Sockets that are held open, by the name of their group. */
const groups = new Map<string, Held[]>();

/** Opens a socket for each target and holds it. */
export async function openSockets({
  port,
  targets,
  origin,
  concurrency,
  group,
}: OpenJob): Promise<LoadReport> {
  const timing = new Timing();
  const members = groups.get(group) ?? [];
  groups.set(group, members);
  await inParallel(targets.length, concurrency, async (index) => {
    const startedAt = performance.now();
    members.push(await enter(port, sourceAddress(index), handshake(port, targets[index] ?? '', origin)));
    timing.finished(startedAt);
  });
  return timing.report();
}

/** Drops all that are held, without a word. */
export async function dropSockets(): Promise<void> {
  for (const { socket } of [...groups.values()].flat()) socket.destroy();
  groups.clear();
}

/** Revokes, and waits until every socket of the group has been closed for it. Milliseconds from the request on. */
export async function fanOut({ port, request, group, code }: FanOutJob): Promise<FanOut> {
  const members = groups.get(group) ?? [];
  groups.delete(group);
  const connection = new Connection(port, sourceAddress(0));
  const startedAt = performance.now();
  const since = () => performance.now() - startedAt;
  const closes = Promise.all(members.map(({ closed }) => closed)).then((codes) => ({ at: since(), codes }));
  const late = AbortSignal.timeout(60_000);
  const tooLate = new Promise<never>((_resolve, reject) => {
    late.addEventListener('abort', () =>
      reject(new Error('not all sockets of a revoked subject were closed')),
    );
  });
  const answer = await connection.exchange(request);
  const answeredMs = since();
  connection.close();
  if (answer.status !== 200)
    throw new Error(`a revocation was answered with ${answer.status} ${answer.body}`);
  const { at: closedMs, codes } = await Promise.race([closes, tooLate]);
  const wrong = codes.find((each) => each !== code);
  if (wrong !== undefined) throw new Error(`a revoked socket was closed with ${wrong}, not ${code}`);
  await sleep(50);
  return { answeredMs, closedMs };
}

function enter(port: number, from: string, request: string): Promise<Held> {
  return new Promise((resolve, reject) => {
    const socket = dial(port, from);
    const { promise: closed, resolve: close, reject: lose } = Promise.withResolvers<number>();
    closed.catch(() => {});
    let entered = false;
    socket.write(request);
    socket.on('data', (chunk) => {
      let frames = chunk;
      if (!entered) {
        if (chunk.indexOf(accepted) !== 0) {
          reject(new Error(`a handshake was answered with ${JSON.stringify(chunk.toString('latin1'))}`));
          socket.destroy();
          return;
        }
        entered = true;
        frames = chunk.subarray(chunk.indexOf('\r\n\r\n') + 4);
        resolve({ socket, closed });
      }
      const code = attend(socket, frames);
      if (code === undefined) return;
      close(code);
      socket.end(closeFrame);
    });
    socket.on('error', reject);
    socket.on('close', () => {
      const gone = new Error('a socket that was held has gone');
      reject(gone);
      lose(gone);
    });
  });
}
