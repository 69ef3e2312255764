import { randomBytes } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { newTicket } from '../../tickets/ticket.ts';
import type { Door } from '../door.ts';
import { type Finding, fault, ok, skipped, warning } from '../finding.ts';
import { knock } from '../knock.ts';

const id = 'proxy-log';
/** Bytes from the end of a log that are searched for older tickets. */
const searched = 8 * 1024 * 1024;
/** Milliseconds that a proxy may take to write a line, and what comes after the first one may take. */
const patience = 3000;
const settling = 500;

/** Whether what a proxy logs holds tickets: those of others, and two of ours that open nothing. */
export async function checkProxyLog(file: string, door: Door | undefined, path: string): Promise<Finding> {
  let before: number;
  let old: number;
  try {
    before = (await stat(file)).size;
    old = ticketsIn(await textFrom(file, Math.max(0, before - searched)));
  } catch (error) {
    return skipped(id, `--proxy-log cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const todo =
    'Log the path without its query, and neither Referer nor Sec-WebSocket-Protocol, as examples/ does; then delete what has been logged.';
  if (!door) {
    if (old > 0) return fault(id, `The log holds ${old} tickets.`, todo);
    return before > 0
      ? ok(id, 'No ticket is in the log; without --url none could be sent through.')
      : skipped(id, 'Nothing is in the log, and without --url nothing could be sent through.');
  }

  const sent = [newTicket(randomBytes), newTicket(randomBytes)] as const;
  using _inQuery = await knock(door, { path, ticket: sent[0], transport: 'query' });
  using _asSubprotocol = await knock(door, { path, ticket: sent[1], transport: 'subprotocol' });
  const written = await growth(file, before);
  const logged = sent.map((ticket) => written.includes(ticket));
  if (logged.some(Boolean)) {
    const where = logged[0] ? 'the query' : 'Sec-WebSocket-Protocol';
    return fault(id, `The proxy logs ${where}: tickets, and whatever else comes there.`, todo);
  }
  if (old > 0) {
    return warning(id, `The log holds ${old} tickets, though new ones do not get there.`, 'Delete it.');
  }
  if (written === '') return skipped(id, 'Nothing was written to --proxy-log: it may be the log of another.');
  return ok(id, 'A ticket leaves no trace in the log.');
}

function ticketsIn(text: string): number {
  return text.match(/wst_[\w-]{43}/g)?.length ?? 0;
}

/** What is written to a file from a position on, once it has been written. */
async function growth(file: string, from: number): Promise<string> {
  const deadline = performance.now() + patience;
  let text = '';
  while (text === '' && performance.now() < deadline) {
    await sleep(50);
    text = await textFrom(file, from);
  }
  if (text === '') return text;
  await sleep(settling);
  return textFrom(file, from);
}

/** One that has been begun anew is read from its beginning. */
async function textFrom(file: string, position: number): Promise<string> {
  await using handle = await open(file, 'r');
  const { size } = await handle.stat();
  const start = size < position ? 0 : position;
  const buffer = Buffer.alloc(Math.min(size - start, 2 * searched));
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
  return buffer.toString('latin1', 0, bytesRead);
}
