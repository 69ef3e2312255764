import type { IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';

/** What a handshake was refused with, in the words of whoever answered. */
export interface RefusedHandshake {
  status: number;
  /** A code of `errors.ts`; empty where it was not a broker that answered. */
  code: string;
  description: string;
}

/** Reads the answer to a handshake that has opened no socket. */
export async function readRefusal(response: IncomingMessage): Promise<RefusedHandshake> {
  const body = await json(response).catch(() => ({}));
  const { error, error_description } = (body ?? {}) as Record<string, unknown>;
  const textOf = (value: unknown) => (typeof value === 'string' ? value : '');
  return { status: response.statusCode ?? 0, code: textOf(error), description: textOf(error_description) };
}
