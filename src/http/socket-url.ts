import { BrokerError } from '../errors.ts';

/** Where the WebSocket of whom a request came to is, without a ticket. @throws BrokerError `invalid_request` for a Host that is none */
export type SocketUrl = (request: { protocol: string; host: string }) => string;

/** @param publicWsUrl the WebSocket's URL, where it is not the host that the request came to */
export function socketUrlAt(publicWsUrl: string | undefined, wsPath: string): SocketUrl {
  const known = publicWsUrl && new URL(publicWsUrl).href;
  return ({ protocol, host }) => {
    if (known) return known;
    const url = `${protocol === 'https' ? 'wss' : 'ws'}://${host}${wsPath}`;
    if (/^[\w.:[\]-]+$/.test(host ?? '') && URL.canParse(url)) return url;
    throw new BrokerError('invalid_request', { description: 'Host is missing or malformed.' });
  };
}
