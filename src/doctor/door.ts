import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

export interface DoorOptions {
  url: URL;
  /** PEM of the authority that is to be trusted instead of those that Node trusts. */
  ca?: string | undefined;
  /** Go on though the certificate is not trusted. */
  insecure?: boolean | undefined;
}

export interface AskOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Milliseconds. */
  patience?: number;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  /** The body where it is a JSON object; else an empty one. */
  json: Record<string, unknown>;
  /** When it was asked, and when the answer was there: Unix milliseconds. */
  between: readonly [number, number];
}

/** Nobody answers there. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
  /** ECONNREFUSED and the like. */
  readonly reason: string;

  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

/** An entrance to the deployment: a proxy, or a node itself. Every request comes over a connection of its own. */
export interface Door {
  readonly url: URL;
  /** What its host name stands for. */
  readonly addresses: readonly string[];
  /** How a connection is made to it, for `net`, `http` and `ws`. */
  readonly how: {
    readonly localAddress?: string;
    readonly family?: number;
    readonly ca?: string[];
    readonly rejectUnauthorized?: boolean;
  };
  /** The whole answer. @throws Unreachable */
  ask(path: string, options?: AskOptions): Promise<Answer>;
  /** An answer whose body is still to come. @throws Unreachable */
  open(path: string, options?: AskOptions): Promise<IncomingMessage>;
}

/** @throws Unreachable where the host has no address */
export async function findDoor({ url, ca, insecure = false }: DoorOptions): Promise<Door> {
  const host = hostOf(url);
  const found = await lookup(host, { all: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Unreachable(error.code ?? 'no address');
  });
  const addresses = found.map(({ address }) => address);
  const localAddress = await addressFor(addresses, url);
  const how = {
    ...(localAddress !== undefined && { localAddress, family: 4 }),
    ...(ca !== undefined && { ca: [ca] }),
    ...(insecure && { rejectUnauthorized: false }),
  };

  const open: Door['open'] = (path, { method = 'GET', headers = {}, body, patience = 5000 } = {}) =>
    new Promise((resolve, reject) => {
      const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
        new URL(path, url),
        { ...how, method, agent: false, headers: { ...headers, connection: 'close' } },
        (response) => {
          clearTimeout(late);
          resolve(response);
        },
      );
      const late = setTimeout(() => request.destroy(new Unreachable('timeout')), patience);
      request.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(late);
        reject(error instanceof Unreachable ? error : new Unreachable(error.code ?? error.name));
      });
      request.end(body);
    });

  return {
    url,
    addresses,
    how,
    open,
    async ask(path, options = {}) {
      const asked = Date.now();
      const response = await open(path, options);
      const late = setTimeout(() => response.destroy(new Unreachable('timeout')), options.patience ?? 5000);
      const body = await text(response).catch((error: NodeJS.ErrnoException) => {
        throw new Unreachable(error.code ?? error.message);
      });
      clearTimeout(late);
      const { statusCode: status = 0, headers } = response;
      return { status, headers, body, json: objectIn(body), between: [asked, Date.now()] };
    },
  };
}

/** The host of a URL as sockets take it. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

export function portOf({ port, protocol }: URL): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80);
}

/**
 * On this machine everybody is 127.0.0.1, the proxy too: we come from another address of the loopback network, so that it
 * can be told whom a node sees. Not every system has these; undefined: any address does.
 */
async function addressFor(addresses: readonly string[], url: URL): Promise<string | undefined> {
  const isLoopback = addresses.every((address) => address.startsWith('127.') || address === '::1');
  if (!isLoopback || addresses.every((address) => address === '::1')) return undefined;
  const part = () => 2 + Math.floor(Math.random() * 250);
  const localAddress = `127.${part()}.${part()}.${part()}`;
  const socket = connect({ host: hostOf(url), port: portOf(url), localAddress, family: 4 });
  try {
    await once(socket, 'connect');
    return localAddress;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

function objectIn(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
