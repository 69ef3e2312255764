import type { LoadReport, UpgradeJob } from './jobs.ts';
import { Timing } from './timing.ts';
import { accepted, acceptKey, closedFrame, closeFrame, dial, handshake, sourceAddress } from './wire.ts';
import { inParallel } from './workers.ts';

/** Opens and closes a socket for each target. */
export async function upgrades(job: UpgradeJob): Promise<LoadReport> {
  const { ports, targets, origin, concurrency, sources } = job;
  const timing = new Timing();
  await inParallel(targets.length, concurrency, async (index) => {
    const port = ports[index % ports.length] ?? 0;
    const request = handshake(port, targets[index] ?? '', origin);
    await visit(port, sourceAddress(index % sources), request, timing);
  });
  return timing.report();
}

/**
 * One client: shakes hands, closes as soon as it is in, takes whatever still comes, and is done when the server has
 * closed, too. Fails on any other answer.
 */
function visit(port: number, from: string, request: string, timing: Timing): Promise<void> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const socket = dial(port, from);
    let received: Buffer | undefined;
    socket.write(request);
    socket.on('data', (chunk) => {
      if (received) {
        received = Buffer.concat([received, chunk]);
        return;
      }
      received = chunk;
      timing.finished(startedAt);
      if (chunk.indexOf(accepted) === 0) socket.write(closeFrame);
      else socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (isWhole(received)) resolve();
      else reject(new Error(`a handshake was answered with ${JSON.stringify(received?.toString('latin1'))}`));
    });
  });
}

function isWhole(received: Buffer | undefined): boolean {
  return received?.subarray(-closedFrame.length).equals(closedFrame) === true && received.includes(acceptKey);
}
