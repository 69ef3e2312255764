import type { WebSocket } from 'ws';

/** Bytes. */
const most = 1024 * 1024;

/** Drops a peer that makes us talk and does not read what it is told. @returns whether it reads */
export function reads(socket: Pick<WebSocket, 'bufferedAmount' | 'terminate'>): boolean {
  if (socket.bufferedAmount <= most) return true;
  socket.terminate();
  return false;
}
