import type { Static } from 'typebox';
import { type BindIp, boundTo, canonicalAddress } from '../address.ts';
import { type Caller, requireScope, type Service, type User } from '../credentials/caller.ts';
import { BrokerError } from '../errors.ts';
import { isOrigin } from '../origin.ts';
import type { Json, TicketRecord } from '../tickets/record.ts';
import { contextDepth, type MintRequest } from './schemas.ts';

export interface TicketRequestOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Seconds. */
  ticketTtl: number;
  ticketTtlMax: number;
  sessionTtl: number;
  bindIp: BindIp;
}

/** What a mint asks for, once it is known who asks. */
export interface TicketRequest {
  /** With the rooms as they are asked for, allowed or not. */
  record: TicketRecord;
  /** Seconds. */
  ttl: number;
}

const contextLimit = 2048;

/**
 * Reads the body of a mint on behalf of its caller.
 *
 * @returns a function that throws BrokerError `invalid_request`, `insufficient_scope`, `invalid_token`
 */
export function ticketRequestReader(options: TicketRequestOptions) {
  const { now, ticketTtl, ticketTtlMax, sessionTtl, bindIp } = options;
  return (caller: Caller, body: Static<typeof MintRequest>): TicketRequest => ({
    record: recordFor(caller, body),
    ttl: ttlOf(body),
  });

  function recordFor(caller: Caller, body: Static<typeof MintRequest>): TicketRecord {
    const { rooms, context, aud, bind } = body;
    if (isDeeper(context, contextDepth)) throw invalid(`context is nested more than ${contextDepth} deep`);
    if (context !== undefined && Buffer.byteLength(JSON.stringify(context)) > contextLimit) {
      throw invalid(`context is more than ${contextLimit} bytes of JSON`);
    }
    return {
      ...(caller.kind === 'user' ? ofUser(caller, body) : ofService(caller, body)),
      ...(rooms && { rooms }),
      ...(context !== undefined && { context: context as Json }),
      ...(aud && { aud }),
      ...(bind?.origin && { origin: originOf(bind.origin) }),
      ...(bind?.ip && { ip: boundAddress(bind.ip) }),
    };
  }

  function ofUser(user: User, { sub, username }: Static<typeof MintRequest>) {
    if (sub !== undefined) throw invalid('sub is who the token says: only a service key names another');
    if (username !== undefined)
      throw invalid('username is what the token says: only a service key names another');
    const session_ttl = Math.min(sessionTtl, user.exp - now() / 1000);
    // Less than the store can count is nothing.
    if (session_ttl < 0.001) throw new BrokerError('invalid_token', { reason: 'err_jwt_expired' });
    return { sub: user.sub, username: user.username, auth_time: user.auth_time, session_ttl };
  }

  function ofService(service: Service, { sub, username = sub }: Static<typeof MintRequest>) {
    requireScope(service, 'tickets:mint');
    if (sub === undefined || username === undefined) throw invalid('sub is required with a service key');
    return { sub, username, minted_by: service.name, auth_time: now() / 1000, session_ttl: sessionTtl };
  }

  function boundAddress(text: string): string {
    const address = canonicalAddress(text);
    if (address === undefined) throw invalid('bind.ip is not an IP address');
    if (bindIp === 'off') throw invalid('bind.ip is switched off on this server (BIND_IP)');
    return boundTo(address, bindIp);
  }

  function ttlOf({ ttl = ticketTtl }: Static<typeof MintRequest>): number {
    if (ttl > ticketTtlMax) throw invalid(`ttl is more than ${ticketTtlMax} seconds`);
    return ttl;
  }
}

/** Whether JSON has lists and objects in each other beyond a depth. Goes by levels: a recursion would be as deep as it is. */
function isDeeper(json: unknown, depth: number): boolean {
  let level = [json];
  for (let left = depth; left >= 0; left--) {
    level = level.filter((value) => typeof value === 'object' && value !== null);
    if (level.length === 0) return false;
    level = level.flatMap((value) => Object.values(value as object));
  }
  return true;
}

/** As browsers spell it: lower case, no default port. */
function originOf(text: string): string {
  if (isOrigin(text)) return text;
  const { origin } = URL.canParse(text) ? new URL(text) : { origin: 'null' };
  if (origin === 'null') throw invalid('bind.origin is not an origin such as https://app.example.com');
  return origin;
}

function invalid(description: string): BrokerError {
  return new BrokerError('invalid_request', { description });
}
