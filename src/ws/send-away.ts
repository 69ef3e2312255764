import type { WebSocket } from 'ws';
import type { BrokerError } from '../errors.ts';

const leavingLimit = 1000;
let leaving = 0;

/** Says a refusal as a close code. The peer has a second to go; a crowd of them is not waited for. */
export function sendAway(socket: WebSocket, { closeCode, code }: BrokerError): void {
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
  socket.close(closeCode, code);
}
