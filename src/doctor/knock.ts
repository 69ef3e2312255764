import { WebSocket } from 'ws';
import { canonicalAddress } from '../address.ts';
import { readRefusal } from '../refused-handshake.ts';
import type { Door } from './door.ts';

export type Knocked =
  /**
   * `session` is what a broker's welcome tells; other chat nodes say something else, or nothing. `from`: the address that
   * we came from.
   */
  | { outcome: 'admitted'; session: string | undefined; from: string | undefined }
  /** `status` of the answer, or a close code on a socket that was opened to say it. */
  | { outcome: 'refused'; status: number; code: string }
  | { outcome: 'unanswered'; reason: string };

export interface KnockOptions {
  path: string;
  ticket: string;
  /** Where the ticket is. Default: the subprotocol. */
  transport?: 'subprotocol' | 'query';
  headers?: Record<string, string>;
}

/** Milliseconds for a handshake; and for the first word on an open socket, of a refusal or of anything else. */
const handshakeTimeout = 5000;
const firstWord = 1500;

/** Tries to open a WebSocket with a ticket. Disposed of, it hangs up: a socket that stays open keeps the process. */
export async function knock(
  door: Door,
  { path, ticket, transport, headers = {} }: KnockOptions,
): Promise<Knocked & Disposable> {
  const url = new URL(path, door.url);
  url.protocol = url.protocol.replace('http', 'ws');
  if (transport === 'query') url.searchParams.set('ticket', ticket);
  const protocols = transport === 'query' ? [] : ['ticket-broker', `ticket.${ticket}`];
  const socket = new WebSocket(url, protocols, { ...door.how, headers, handshakeTimeout });

  const knocked = await new Promise<Knocked>((resolve) => {
    let from: string | undefined;
    const admitted = (session?: string) => resolve({ outcome: 'admitted', session, from });
    socket.on('upgrade', (response) => {
      from = canonicalAddress(response.socket.localAddress ?? '');
    });
    socket.on('unexpected-response', (request, response) => {
      void readRefusal(response).then(({ status, code }) => {
        resolve({ outcome: 'refused', status, code });
        // Not the request, which has ended: its connection is kept for another one.
        request.socket?.destroy();
      });
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ outcome: 'unanswered', reason: error.code ?? error.message }),
    );
    socket.on('open', () => {
      const silent = setTimeout(admitted, firstWord);
      socket.once('message', (data) => admitted(sessionIn(String(data))));
      // With WS_REJECT=close.
      socket.once('close', (code, reason) =>
        resolve({ outcome: 'refused', status: code, code: String(reason) }),
      );
      socket.once('close', () => clearTimeout(silent));
    });
  });
  return { ...knocked, [Symbol.dispose]: () => hangUp(socket) };
}

/** Whoever does not answer the close is not waited for. */
function hangUp(socket: WebSocket): void {
  socket.close(1000);
  setTimeout(() => socket.terminate(), 1000).unref();
}

function sessionIn(message: string): string | undefined {
  try {
    const { type, session_id } = JSON.parse(message) as Record<string, unknown>;
    return type === 'welcome' && typeof session_id === 'string' ? session_id : undefined;
  } catch {
    return undefined;
  }
}
