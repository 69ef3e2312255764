import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ComingBack, Refusals, StormJob } from './jobs.ts';
import { Connection, type HttpAnswer } from './requests.ts';
import { Timing } from './timing.ts';
import { accepted, attend, dial, handshake, post, sourceAddress } from './wire.ts';
import { inParallel } from './workers.ts';

interface Client {
  token: string;
  port: number;
  from: string;
  /** Where it mints: over a connection that it shares with its neighbours, as behind a proxy. */
  mint: (request: string) => Promise<HttpAnswer>;
  socket: Socket | undefined;
}

let crowd: Client[] = [];
let shared: Connection[] = [];

/** Clients that know where to come back to. */
export async function gather({ ports, tokens, addresses }: StormJob): Promise<void> {
  await disperse();
  const connections = new Map<string, Client['mint']>();
  crowd = tokens.map((token, index) => {
    const port = ports[index % ports.length] ?? 0;
    const from = sourceAddress(index % addresses);
    const name = `${from} ${port}`;
    const mint = connections.get(name) ?? sharedConnection(port, from);
    connections.set(name, mint);
    return { token, port, from, mint, socket: undefined };
  });
}

export async function disperse(): Promise<void> {
  for (const { socket } of crowd) socket?.destroy();
  for (const connection of shared) connection.close();
  crowd = [];
  shared = [];
}

/** Some clients after another lose their sockets and come back, a few at a time. */
export async function churn({ count, concurrency }: { count: number; concurrency: number }) {
  return all(count, concurrency, async (client) => {
    client.socket?.destroy();
  });
}

/** All lose their sockets at once, and all come back at once. */
export async function storm() {
  for (const { socket } of crowd) socket?.destroy();
  return all(crowd.length, crowd.length, async () => {});
}

let next = 0;

async function all(
  count: number,
  concurrency: number,
  first: (client: Client) => Promise<void>,
): Promise<ComingBack> {
  const refusals: Refusals = { limited: 0, unavailable: 0, lost: 0 };
  const timing = new Timing();
  await inParallel(count, concurrency, async () => {
    const client = crowd[next++ % crowd.length] as Client;
    const startedAt = performance.now();
    await first(client);
    await comeBack(client, refusals);
    timing.finished(startedAt);
  });
  const held = crowd.filter(({ socket }) => socket && !socket.destroyed).length;
  return { ...timing.report(), ...refusals, held };
}

/** An honest client: gets a ticket, opens a socket with it, and waits as long as it is told to. */
async function comeBack(client: Client, refusals: Refusals): Promise<void> {
  const { port, token, from, mint } = client;
  for (;;) {
    const minted = await mint(post(port, '/tickets', { Authorization: `Bearer ${token}` }));
    if (minted.status === 201) {
      const { ticket } = JSON.parse(minted.body) as { ticket: string };
      const request = handshake(port, `/ws?ticket=${ticket}`, 'https://app.example.com');
      const { socket, status, retryAfter } = await knock(port, from, request);
      client.socket = socket;
      if (socket) return;
      await refused(status, retryAfter, refusals);
    } else {
      await refused(minted.status, minted.retryAfter, refusals);
    }
  }
}

/** @throws Error for an answer that an honest client must not get, whatever the load */
async function refused(status: number, retryAfter: number, refusals: Refusals): Promise<void> {
  if (status === 429) refusals.limited++;
  else if (status === 503) refusals.unavailable++;
  else if (status === 0) refusals.lost++;
  else throw new Error(`an honest client was answered with ${status}`);
  await sleep((retryAfter || 1) * 1000 + Math.random() * 500);
}

interface Knocked {
  socket?: Socket;
  /** 0: the connection was lost. */
  status: number;
  retryAfter: number;
}

function knock(port: number, from: string, request: string): Promise<Knocked> {
  return new Promise((resolve) => {
    const socket = dial(port, from);
    let entered = false;
    socket.write(request);
    socket.on('data', (chunk) => {
      if (entered) {
        attend(socket, chunk);
        return;
      }
      if (chunk.indexOf(accepted) === 0) {
        entered = true;
        resolve({ socket, status: 101, retryAfter: 0 });
        return;
      }
      const head = chunk.toString('latin1');
      const retryAfter = Number(/\r\nretry-after: (\d+)/i.exec(head)?.[1] ?? 0);
      resolve({ status: Number(head.slice(9, 12)), retryAfter });
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve({ status: 0, retryAfter: 0 }));
  });
}

/** A connection that many ask over, each in turn; another one when it is lost, which is the asker's loss. */
function sharedConnection(port: number, from: string): Client['mint'] {
  const begin = () => {
    const connection = new Connection(port, from);
    shared.push(connection);
    return connection;
  };
  let connection = begin();
  let last: Promise<unknown> = Promise.resolve();
  return (request) => {
    const answer = last.then(async () => {
      if (!connection.isOpen) connection = begin();
      return connection.exchange(request).catch(() => ({ status: 0, retryAfter: 0, body: '' }));
    });
    last = answer;
    return answer;
  };
}
