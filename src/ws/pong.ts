import type { WebSocket } from 'ws';

/** Answers of one socket that wait to be written: whoever wants more at once is dropped, as by `ws` itself. */
const most = 60;

const waiting = new WeakMap<WebSocket, number>();

/**
 * Answers pings as `ws` would with `autoPong`, for which it assigns a new function to every socket: V8 allocates such a one in the
 * old generation, and all that the socket held would outlive it there, until the next full garbage collection.
 */
export function answerPings(socket: WebSocket): void {
  socket.on('ping', pong);
}

function pong(this: WebSocket, data: Buffer): void {
  if (this.readyState !== this.OPEN) return;
  const before = waiting.get(this) ?? 0;
  if (before >= most) this.terminate();
  else {
    waiting.set(this, before + 1);
    this.pong(data, false, () => waiting.set(this, (waiting.get(this) ?? 1) - 1));
  }
}
