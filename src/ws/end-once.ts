import { type Duplex, Writable } from 'node:stream';
import { Receiver } from 'ws';

/**
 * `ws` ends a socket, and the stream that takes its frames apart, again at each step of a close. Of every time but the first, Node
 * makes an error with its stack, for nobody: 23 of 299 µs of an upgrade, which `npm run bench -- --profile` shows as `NodeError`.
 */
export function endOnce(socket: Duplex): void {
  socket.end = endIfOpen;
}

Receiver.prototype.end = function (this: Writable, ...last: never[]): Writable {
  return this.writableEnded ? this : Reflect.apply(Writable.prototype.end, this, last);
};

// One function for all sockets: of one each, V8 would keep all that the socket held until a full garbage collection.
function endIfOpen(this: Duplex, ...last: never[]): Duplex {
  return this.writableEnded ? this : Reflect.apply(Object.getPrototypeOf(this).end, this, last);
}
