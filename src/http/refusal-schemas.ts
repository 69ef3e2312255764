import { Type } from 'typebox';
import { type RefusalCode, refusals } from '../errors.ts';
import { limitHeaders, strict } from './schemas.ts';

/** Registered under its `$id`: every route refers to it. */
export const RefusalBody = Type.Object(
  {
    error: Type.Enum(Object.keys(refusals) as RefusalCode[], { description: 'Stable; switch on this.' }),
    error_description: Type.String({ description: 'For people.' }),
  },
  { ...strict, $id: 'Error', description: 'RFC 6749 5.2, for every refusal.' },
);

/** The responses that a route may refuse with, for its schema. */
export function refusalsOf(...codes: RefusalCode[]): Record<number, unknown> {
  const always: RefusalCode[] = ['invalid_request', 'headers_too_large', 'internal_error'];
  const byStatus = Map.groupBy(new Set([...always, ...codes]), (code) => refusals[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, listed]) => [
      status,
      {
        description: listed.map((code) => `\`${code}\`: ${refusals[code].text}`).join(' '),
        headers: headersOf(status, listed),
        content: { 'application/json': { schema: { $ref: 'Error#' } } },
      },
    ]),
  );
}

/** Of a route that is held to limits of `limits.ts`; attempts are counted without saying how many are left. */
export function limitedRefusalsOf(...codes: RefusalCode[]): Record<number, unknown> {
  const refused = refusalsOf('rate_limited', ...codes);
  const { headers, ...rest } = refused[429] as { headers: object };
  return { ...refused, 429: { ...rest, headers: { ...headers, ...limitHeaders } } };
}

function headersOf(status: number, codes: readonly RefusalCode[]) {
  const header = (description: string, type: 'string' | 'integer' = 'string') => ({ type, description });
  if (status === 401 || codes.includes('insufficient_scope'))
    return { 'WWW-Authenticate': header('RFC 6750 3.') };
  if (status === 426) return { Upgrade: header('websocket'), 'Sec-WebSocket-Version': header('13') };
  if (status === 429 || status === 503) return { 'Retry-After': header('Seconds.', 'integer') };
  return undefined;
}
