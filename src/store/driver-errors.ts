import { BrokerError } from '../errors.ts';

/** Makes every failure of a call to Redis a `store_unavailable`, with a reason that names its kind and nothing more. */
export async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw new BrokerError('store_unavailable', { reason: `store: ${reasonOf(error)}` });
  }
}

/** The reason of a refusal that Redis itself answered with, by the code of its reply. */
export function replied(code: string): string {
  return `store: replied ${code}`;
}

/** A refusal that a script has caught and handed on as text. */
export function refusedBy(text: string): BrokerError {
  return new BrokerError('store_unavailable', { reason: `store: ${reasonOf(asReply(text))}` });
}

function asReply(text: string): Error {
  return Object.assign(new Error(text), { name: 'ReplyError' });
}

/** The code that Redis itself refused with, if that is what a failure was. */
export function replyIn(error: unknown): string | undefined {
  return error instanceof BrokerError ? /^store: replied (\w+)$/.exec(error.reason)?.[1] : undefined;
}

/**
 * The kind of a driver's or a server's error. Nothing else of it may go on: it carries the command with its arguments, or quotes
 * them.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code, lastNodeError } = error as NodeJS.ErrnoException & { lastNodeError?: unknown };
  if (code) return code;
  if (lastNodeError) return `cluster: ${ofAll(lastNodeError)}`;
  const ofSentinel = /^All sentinels are unreachable.*? Last error: (.*)/s.exec(error.message)?.[1];
  if (ofSentinel !== undefined) return `sentinels: ${ofAll(asReply(ofSentinel))}`;
  if (/^Unknown RESP type/.test(error.message)) return 'answered as no Redis does';
  if (error.message === 'Command timed out') return 'timeout';
  if (error.message.includes('enableOfflineQueue')) return 'not connected';
  if (error.name === 'MaxRetriesPerRequestError' || error.message === 'Connection is closed.')
    return 'connection lost';
  if (/^NOPERM|executing the script can't/.test(error.message)) return 'replied NOPERM';
  const serverCode = error.name === 'ReplyError' && /^[A-Z]+(?= )/.exec(error.message);
  if (/^ERR unknown command .sentinel/i.test(error.message)) return 'not a sentinel';
  if (/^ERR No such master/.test(error.message)) return 'no primary of that name';
  if (/^ERR .*cluster support disabled/.test(error.message)) return 'not a cluster';
  return serverCode ? `replied ${serverCode[0]}` : error.name;
}

/** What became of the last of several nodes. Where there was no connection, the driver has lost why. */
function ofAll(error: unknown): string {
  const reason = reasonOf(error);
  return reason === 'connection lost' ? 'cannot be reached' : reason;
}
