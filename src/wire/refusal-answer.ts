import { STATUS_CODES } from 'node:http';
import type { BrokerError } from '../errors.ts';

/** A refusal as an HTTP response. */
export interface RefusalAnswer {
  status: number;
  headers: Record<string, string>;
  /** RFC 6749 5.2. */
  body: { error: string; error_description: string };
}

/** @param last whether the connection ends with it: whoever keeps connections, as proxies do, has to know (RFC 9112 9.6) */
export function answerTo(refusal: BrokerError, { last = false } = {}): RefusalAnswer {
  const { status, code, message, retryAfter } = refusal;
  const connection = [...(last ? ['close'] : []), ...(code === 'upgrade_required' ? ['upgrade'] : [])];
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
      ...((status === 401 || code === 'insufficient_scope') && { 'www-authenticate': challenge(refusal) }),
      ...(code === 'upgrade_required' && { upgrade: 'websocket', 'sec-websocket-version': '13' }),
      ...(connection.length > 0 && { connection: connection.join(', ') }),
    },
    body: { error: code, error_description: message },
  };
}

/** RFC 6750 3: no error code where no credential was offered. */
function challenge({ code, reason }: BrokerError): string {
  const named = code === 'insufficient_scope' || (code === 'invalid_token' && reason !== 'no_credential');
  return named ? `Bearer error="${code}"` : 'Bearer';
}

/** The same in bytes, for a connection on which no HTTP server answers. */
export function rawAnswerTo(refusal: BrokerError): string {
  const { status, headers, body } = answerTo(refusal, { last: true });
  const json = JSON.stringify(body);
  const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(json) });
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...lines.map(([name, value]) => `${name}: ${value}`),
    '',
    json,
  ].join('\r\n');
}
