import { setTimeout as sleep } from 'node:timers/promises';
import type { TicketSocket } from '../client/client.ts';
import { messagesPerSecond } from '../client/outbox.ts';

export interface PipedOptions {
  socket: TicketSocket;
  lines: AsyncIterable<string>;
  /** @returns false for what is not sent, and has been told of */
  say: (line: string) => boolean;
  /** Milliseconds that a line waits for a connection. */
  patienceMs: number;
  /** There will be no connection any more. */
  closed: AbortSignal;
}

/** Milliseconds. */
const lookEvery = 50;

/**
 * Says what is piped in, a line at a time, no faster than the server takes them: while there is no connection, they stay in
 * the pipe. Settles at its end, when all has been handed to a connection.
 *
 * @returns whether every line could be said
 * @throws Error that tells where it stopped, when a line has waited in vain; AbortError
 */
export async function sayPiped({ socket, lines, say, patienceMs, closed }: PipedOptions): Promise<boolean> {
  let spacing = 0;
  socket.on('welcome', ({ message_limit }) => {
    // Below it: what had waited and a join were sent just before.
    spacing = 1000 / (0.75 * messagesPerSecond(message_limit));
  });
  const wait = async (holds: () => boolean, unsent: string) => {
    for (const start = performance.now(); !holds(); await pause(lookEvery)) {
      if (performance.now() - start < patienceMs) continue;
      throw new Error(`no connection for ${patienceMs / 1000} s: ${unsent}`);
    }
  };
  const pause = (ms: number) => sleep(ms, undefined, { signal: closed });
  const isIdle = () => socket.queued === 0;

  let count = 0;
  let complete = true;
  for await (const line of lines) {
    const unsent = `line ${++count} and all after it are not sent`;
    await wait(() => socket.status.status === 'connected' && isIdle(), unsent);
    await pause(spacing);
    complete = say(line) && complete;
  }
  await wait(isIdle, 'the last lines are not sent');
  return complete;
}
