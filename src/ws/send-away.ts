import type { WebSocket } from 'ws';

const leavingLimit = 1000;
let leaving = 0;

/** Closes with a code, and for a reason. The peer has a second to go; a crowd of them is not waited for. */
export function sendAway(socket: WebSocket, code: number, reason: string): void {
  if (leaving >= leavingLimit) {
    socket.terminate();
    return;
  }
  leaving++;
  const late = setTimeout(() => socket.terminate(), 1000);
  socket.once('close', () => {
    clearTimeout(late);
    leaving--;
  });
  socket.close(code, reason);
}
