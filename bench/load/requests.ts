import type { Socket } from 'node:net';
import type { LoadReport, RequestJob } from './jobs.ts';
import { Timing } from './timing.ts';
import { dial, sourceAddress } from './wire.ts';
import { inParallel } from './workers.ts';

/** Sends every request, the next one over a connection when the one before has been answered. */
export async function requests(job: RequestJob): Promise<LoadReport & { bodies: string[] }> {
  const { port, connections, requests: texts, status, collect = false } = job;
  const free = Array.from({ length: connections }, (_, index) => new Connection(port, sourceAddress(index)));
  const bodies: string[] = [];
  const timing = new Timing();
  try {
    await inParallel(texts.length, connections, async (index) => {
      const connection = free.pop() as Connection;
      const startedAt = performance.now();
      const answer = await connection.exchange(texts[index] ?? '');
      timing.finished(startedAt);
      if (answer.status !== status)
        throw new Error(`a request was answered with ${answer.status} ${answer.body}`);
      if (collect) bodies[index] = answer.body;
      free.push(connection);
    });
    return { ...timing.report(), bodies };
  } finally {
    for (const connection of free) connection.close();
  }
}

export interface HttpAnswer {
  status: number;
  retryAfter: number;
  body: string;
}

/** A connection that is kept alive, with one request under way at a time. Knows answers that have a Content-Length. */
export class Connection {
  readonly #socket: Socket;
  #received = '';
  #settle: { resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void } | undefined;

  constructor(port: number, from: string) {
    this.#socket = dial(port, from).setEncoding('latin1');
    this.#socket.on('data', (text) => {
      this.#received += text;
      const answer = parse(this.#received);
      if (!answer) return;
      this.#received = '';
      this.#settle?.resolve(answer);
    });
    this.#socket.on('error', (error) => this.#settle?.reject(error));
    this.#socket.on('close', () => this.#settle?.reject(new Error('a connection was closed unanswered')));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  exchange(request: string): Promise<HttpAnswer> {
    if (!this.isOpen) return Promise.reject(new Error('the connection has been closed'));
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#settle = undefined;
    this.#socket.destroy();
  }
}

function parse(text: string): HttpAnswer | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const body = text.slice(end + 4);
  if (body.length < Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1])) return undefined;
  return {
    status: Number(head.slice(9, 12)),
    retryAfter: Number(/\r\nretry-after: (\d+)/i.exec(head)?.[1] ?? 0),
    body,
  };
}
