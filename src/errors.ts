/**
 * Every refusal this product can give: a stable code, the HTTP status, the WebSocket close code where a refusal
 * has to be said on an open socket, and the public text. Nothing else about a failure reaches a caller.
 *
 * Codes follow RFC 6749 5.2 and RFC 6750 3.1 where those name one.
 */
export const refusals = {
  invalid_request: { status: 400, close: 1008, text: 'The request is malformed.' },
  unsupported_grant_type: { status: 400, close: 1008, text: 'This grant type is not supported.' },
  invalid_credentials: { status: 401, close: 1008, text: 'Wrong username or password.' },
  invalid_grant: { status: 401, close: 1008, text: 'Wrong username or password.' },
  invalid_token: { status: 401, close: 1008, text: 'A valid bearer token or service key is required.' },
  token_revoked: { status: 401, close: 1008, text: 'This token has been revoked: log in again.' },
  invalid_ticket: { status: 401, close: 1008, text: 'A valid, unused ticket is required: fetch a new one.' },
  insufficient_scope: { status: 403, close: 1008, text: 'This credential does not allow the call.' },
  origin_forbidden: { status: 403, close: 1008, text: 'This origin is not allowed.' },
  binding_mismatch: { status: 403, close: 1008, text: 'The ticket was issued for somewhere else.' },
  room_forbidden: { status: 403, close: 1008, text: 'The room is not among those allowed.' },
  not_found: { status: 404, close: 1008, text: 'There is nothing here.' },
  request_timeout: { status: 408, close: 1008, text: 'The request did not arrive in time.' },
  payload_too_large: { status: 413, close: 1009, text: 'The body is too large.' },
  unsupported_media_type: { status: 415, close: 1008, text: 'This content type is not supported.' },
  upgrade_required: { status: 426, close: 1008, text: 'Connect with a WebSocket handshake, version 13.' },
  rate_limited: { status: 429, close: 1013, text: 'Too many attempts: wait before the next one.' },
  headers_too_large: { status: 431, close: 1008, text: 'The request headers are too large.' },
  internal_error: { status: 500, close: 1011, text: 'Something went wrong on our side.' },
  store_unavailable: { status: 503, close: 1013, text: 'The store cannot be reached: try again.' },
  idp_unavailable: { status: 503, close: 1013, text: 'The identity provider cannot be reached: try again.' },
  overloaded: { status: 503, close: 1013, text: 'This node cannot take more at the moment: try again.' },
} as const satisfies Record<string, { status: number; close: number; text: string }>;

export type RefusalCode = keyof typeof refusals;

/** What a refusal may carry besides its code. None of it may be a secret. */
export interface RefusalDetails {
  /** Replaces the public text of the code, to name the field or the room. */
  description?: string;
  /** Seconds until the caller may try again; sent as `Retry-After`. */
  retryAfter?: number;
  /** What really happened, for the log only: callers must not be able to tell `used` from `unknown`. */
  reason?: string;
  /** Further fields of the log's decision line. */
  facts?: Record<string, string | number>;
  cause?: unknown;
}

/** A deliberate refusal. Anything else that is thrown is a bug and becomes `internal_error`. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: RefusalCode;
  readonly reason: string;
  readonly retryAfter: number | undefined;
  readonly facts: Readonly<Record<string, string | number>>;

  constructor(code: RefusalCode, details: RefusalDetails = {}) {
    super(
      details.description ?? refusals[code].text,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.code = code;
    this.reason = details.reason ?? code;
    this.retryAfter = details.retryAfter ?? (refusals[code].status === 503 ? 1 : undefined);
    this.facts = Object.freeze({ ...details.facts });
  }

  get status(): number {
    return refusals[this.code].status;
  }

  /** RFC 6455 7.4 close code, for a refusal said on an open socket. */
  get closeCode(): number {
    return refusals[this.code].close;
  }
}

/**
 * What was thrown, with more for the log where it is a refusal. Always a new one: calls that went to the store together are
 * refused by the same error, and what is said of one of them is not true of the others.
 */
export function about(thrown: unknown, facts: BrokerError['facts']): unknown {
  if (!(thrown instanceof BrokerError)) return thrown;
  const { code, message, reason, retryAfter, cause } = thrown;
  return new BrokerError(code, {
    description: message,
    reason,
    ...(retryAfter !== undefined && { retryAfter }),
    facts: { ...thrown.facts, ...facts },
    cause,
  });
}
