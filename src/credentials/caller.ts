import { BrokerError } from '../errors.ts';
import { textPattern } from '../text.ts';

export const scopes = ['tickets:mint', 'tickets:redeem', 'revoke', 'sessions:read'] as const;
export type Scope = (typeof scopes)[number];

/** A person, as a password or a token has shown. */
export interface User {
  readonly kind: 'user';
  readonly sub: string;
  readonly username: string;
  /** The rooms that the token allows; absent = any. */
  readonly rooms?: readonly string[];
  /** When the credential was presented: Unix seconds, with milliseconds. */
  readonly auth_time: number;
  /** When the token ends: Unix seconds. */
  readonly exp: number;
}

/** A backend or chat node, as its service key has shown. */
export interface Service {
  readonly kind: 'service';
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

export type Caller = User | Service;

/**
 * Answers who presents a bearer credential, or undefined when it is not of this verifier's kind: the next one is asked
 * then. A credential of its kind that is not valid throws, and that ends the search.
 *
 * @throws BrokerError `invalid_token`, `idp_unavailable`
 */
export type Verifier = (credential: string) => Promise<Caller | undefined>;

/** Asks the verifiers in turn; RFC 6750 2.1 for the form of the header. */
export function verifierChain(verifiers: readonly Verifier[]) {
  return async (authorization: string | undefined): Promise<Caller> => {
    if (authorization === undefined) throw new BrokerError('invalid_token', { reason: 'no_credential' });
    const [, credential] = /^Bearer +([\w~+/.=-]+) *$/i.exec(authorization) ?? [];
    if (credential === undefined) throw new BrokerError('invalid_token', { reason: 'malformed_credential' });
    for (const verify of verifiers) {
      const caller = await verify(credential);
      if (caller) return caller;
    }
    throw new BrokerError('invalid_token', { reason: 'unknown_credential' });
  };
}

/** @throws BrokerError `insufficient_scope` for a user */
export function requireService(caller: Caller): asserts caller is Service {
  if (caller.kind === 'service') return;
  throw new BrokerError('insufficient_scope', {
    description: 'This call is for service keys.',
    facts: { sub: caller.sub },
  });
}

/** @throws BrokerError `insufficient_scope` */
export function requireScope(service: Service, scope: Scope): void {
  if (service.scopes.has(scope)) return;
  throw new BrokerError('insufficient_scope', {
    description: `This service key lacks the scope ${scope}.`,
    facts: { key: service.name },
  });
}

const nameForm = new RegExp(textPattern(255), 'u');

export function isName(value: unknown): value is string {
  return typeof value === 'string' && nameForm.test(value);
}
