import { randomBytes } from 'node:crypto';
import { json } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import type { Stack } from './stack.ts';

export interface Minted {
  ticket: string;
  ticket_id: string;
  url: string;
}

/** How a handshake ended: with a socket and, one day, its close code; or with a refusal. */
export interface Knock {
  status: number;
  socket?: WebSocket;
  closed?: Promise<number>;
  retryAfter?: string | undefined;
  body?: unknown;
}

/** A user in front of the balancer. */
export interface Visitor {
  login: () => Promise<string>;
  loginWithRefresh: () => Promise<{ token: string; refresh_token: string }>;
  mint: (token: string, headers?: Record<string, string>) => Promise<Minted>;
  /** Opens the socket, with the ticket in the URL or as a subprotocol. */
  knock: (minted: Minted, carrier?: 'url' | 'subprotocol') => Promise<Knock>;
  /** Drops every socket. */
  leave: () => void;
  /** Every password, token and ticket that was sent or received. */
  secrets: Set<string>;
}

/** Makes a user, as an operator does. */
export async function register(stack: Stack, username: string): Promise<Visitor> {
  const password = randomBytes(12).toString('base64url');
  const add = ['ticket-broker', 'users', 'add', username, '--password-stdin'];
  await stack.compose(['exec', '-T', 'http', ...add], `${password}\n`);
  return visitor(stack.url, username, password);
}

function visitor(url: string, username: string, password: string): Visitor {
  const secrets = new Set([password]);
  const sockets = new Set<WebSocket>();

  const post = async <T>(path: string, headers: Record<string, string>, body: object): Promise<T> => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(15_000),
    });
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return (await response.json()) as T;
  };

  const loginWithRefresh = async () => {
    const pair = await post<{ token: string; refresh_token: string }>(
      '/api/login',
      {},
      { username, password },
    );
    secrets.add(pair.token).add(pair.refresh_token);
    return pair;
  };

  return {
    secrets,
    loginWithRefresh,
    login: async () => (await loginWithRefresh()).token,
    async mint(token, headers) {
      const minted = await post<Minted>('/tickets', { authorization: `Bearer ${token}`, ...headers }, {});
      secrets.add(minted.ticket);
      return minted;
    },
    knock({ ticket, url: ready }, carrier = 'url') {
      const bare = ready.split('?', 1)[0] ?? ready;
      // A page that was itself opened with a ticket in its address sends that on as the Referer.
      const options = { handshakeTimeout: 15_000, headers: { referer: ready } };
      const socket =
        carrier === 'url'
          ? new WebSocket(ready, options)
          : new WebSocket(bare, ['chat', `ticket.${ticket}`], options);
      sockets.add(socket);
      const closed = new Promise<number>((resolve) => socket.once('close', resolve));
      return new Promise((resolve, reject) => {
        socket.on('error', reject);
        socket.once('open', () => resolve({ status: 101, socket, closed }));
        socket.once('unexpected-response', (_request, response) => {
          const { statusCode: status = 0, headers } = response;
          const retryAfter = headers['retry-after'];
          json(response).then((body) => resolve({ status, retryAfter, body }), reject);
        });
      });
    },
    leave() {
      for (const socket of sockets) socket.terminate();
      sockets.clear();
    },
  };
}
