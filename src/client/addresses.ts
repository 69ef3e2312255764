import { baseUrl } from './surroundings.ts';

/**
 * The URL to open sockets at. `http` is as good as `ws`, and in a page it may be relative. A ticket in it, as in the `url`
 * that a mint answers, is left out: it would be there, spent, in every attempt.
 *
 * @throws TypeError for what is no such URL
 */
export function socketUrl(given: string | URL): URL {
  const url = new URL(given, baseUrl());
  url.protocol = url.protocol.replace(/^http/, 'ws');
  if (!/^wss?:$/.test(url.protocol)) throw new TypeError('not the URL of a WebSocket');
  url.hash = '';
  url.searchParams.delete('ticket');
  return url;
}

/** Where tickets are to be had, unless somebody says otherwise: `/tickets` of the same host. */
export function ticketsUrl(socket: URL): URL {
  const url = new URL('/tickets', socket);
  url.protocol = url.protocol.replace(/^ws/, 'http');
  return url;
}
