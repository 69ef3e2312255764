import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { closeCodes } from './close-codes.ts';

/** Sockets closed in a second at least, so that a few do not take long. */
const perSecond = 200;
const batches = 20;

/**
 * Sends peers away with 1012, in batches over four fifths of the time, each told to come back after a delay of its own
 * (full jitter), so that they do not all knock at the other nodes at once. Those that do not close are cut off at the end.
 */
export async function drain(sockets: readonly WebSocket[], timeoutMs: number): Promise<void> {
  const closed = sockets
    .filter((socket) => socket.readyState !== socket.CLOSED)
    .map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())));
  const spread = Math.min(timeoutMs * 0.8, (sockets.length / perSecond) * 1000);
  const cutOff = setTimeout(() => {
    for (const socket of sockets) socket.terminate();
  }, timeoutMs);
  const size = Math.ceil(sockets.length / batches) || 1;
  for (let start = 0; start < sockets.length; start += size) {
    if (start > 0) await sleep(spread / batches);
    for (const socket of sockets.slice(start, start + size)) {
      const reconnect_after_ms = Math.round(Math.random() * Math.max(spread / batches, 100));
      socket.close(closeCodes.restarting, JSON.stringify({ reconnect_after_ms }));
    }
  }
  await Promise.all(closed);
  clearTimeout(cutOff);
}
