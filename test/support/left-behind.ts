import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { createChat } from '../../src/chat/chat.ts';
import { liveSessions } from '../../src/sessions/live-sessions.ts';
import { liveSockets } from '../../src/sessions/live-sockets.ts';
import { memoryBackplane } from '../../src/store/memory-backplane.ts';

/**
 * To be run with `--expose-gc`, and a young generation that is not collected before it is told to: opens sockets and closes them,
 * 64 at a time, and prints how many bytes of each one minor garbage collections keep that a full one frees.
 */
const count = 2000;
const atATime = 64;
const contextBytes = 4000;

class Socket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  // As every stream of Node has it: a function in the old generation, on which all hangs that the socket holds.
  onwrite: () => void;
  constructor() {
    super();
    this.onwrite = () => void this.readyState;
  }
  send() {}
  leave() {
    this.readyState = 3;
    this.emit('close', 1000);
  }
}

const log = { info() {}, warn() {}, error() {} } as never;
const sessions = liveSessions({
  now: Date.now,
  log,
  recordEnd() {},
  feed: { find: () => undefined, follow: () => () => {} },
  registry: { add: async () => {}, remove: async () => {}, ofSubject: async () => [] },
  node: 'node',
  maxPerSubject: 0,
  endSessions: async () => {},
});
const backplane = memoryBackplane({ history: 10 });
const sockets = liveSockets({
  now: Date.now,
  log,
  metrics: { socketOpened() {}, socketClosed() {} },
  sessions,
  refresh: async () => {
    throw new Error('nobody asks');
  },
  enter: createChat({ backplane, now: Date.now, randomUUID: () => 'uuid', log }),
  messageLimit: 20,
});

const open: Socket[] = [];
const come = (n: number) => {
  const socket = new Socket();
  open.push(socket);
  const session_id = `session-${n}`;
  const context = { text: `${n}`.repeat(contextBytes).slice(0, contextBytes) };
  const record = { sub: `user-${n}`, username: `user-${n}`, auth_time: 0, session_ttl: 3600, context };
  const session = { session_id, record, deadline: Date.now() + 3_600_000, exp: 0 };
  sockets.add(socket as unknown as WebSocket, session, { ip: '192.0.2.1', origin: undefined, via: 'ws' });
};

const collect = globalThis.gc as NodeJS.GCFunction;
const used = () => process.memoryUsage().heapUsed;
collect();
for (let n = 0; n < count; n++) {
  come(n);
  if (open.length === atATime) open.shift()?.leave();
  if (n % 10 === 0) await sleep(0);
}
for (const socket of open.splice(0)) socket.leave();
await sleep(10);
for (let time = 0; time < 3; time++) collect({ type: 'minor' });
const young = used();
collect();
console.log(Math.round((young - used()) / count));
process.exit();
