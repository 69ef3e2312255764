import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { countedAs } from '../address.ts';
import type { Credentials, IssuedToken } from '../credentials/open.ts';
import type { Decide } from '../decisions.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import type { App } from './type-provider.ts';

export interface PasswordLoginOptions {
  credentials: Credentials;
  decide: Decide;
  /** Logins per address, and per user name, a window. */
  loginLimit: number;
}

/**
 * A password for a token, limited and logged: what `/api/login` and `/token` share.
 *
 * @throws BrokerError `invalid_credentials`, `rate_limited`, `overloaded`, `store_unavailable`
 */
export type PasswordLogin = (
  request: FastifyRequest,
  reply: FastifyReply,
  username: string,
  password: string,
) => Promise<IssuedToken>;

export function passwordLogin(
  app: App,
  { credentials, decide, loginLimit }: PasswordLoginOptions,
): PasswordLogin {
  const perAddress = limit(app, 'login_address', loginLimit);
  const perName = limit(app, 'login_name', loginLimit);

  return (request, reply, username, password) => {
    const address = clientAddress(request);
    return decide(request.log, { decision: 'login', ip: address }, async (facts) => {
      await perAddress(request, reply, countedAs(address));
      // Hashed: people type their password into the wrong field, and counters are stored.
      await perName(request, reply, hash('sha256', username, 'base64url').slice(0, 22));
      const issued = await credentials.login(username, password);
      facts.sub = issued.sub;
      return issued;
    });
  };
}
