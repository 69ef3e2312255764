import type { FastifyReply, FastifyRequest } from 'fastify';
import { countedAs } from '../address.ts';
import type { Credentials, IssuedToken } from '../credentials/open.ts';
import type { Decide } from '../decisions.ts';
import { clientAddress } from './client-address.ts';
import { limit } from './limits.ts';
import type { App } from './type-provider.ts';

export interface RefreshingOptions {
  credentials: Credentials;
  decide: Decide;
  /** Refreshes per address, a window. */
  refreshLimit: number;
}

/**
 * A refresh token for the next token, limited and logged.
 *
 * @throws BrokerError `invalid_grant`, `token_revoked`, `rate_limited`, `store_unavailable`
 */
export type Refreshing = (
  request: FastifyRequest,
  reply: FastifyReply,
  refreshToken: string,
) => Promise<IssuedToken>;

export function refreshing(app: App, { credentials, decide, refreshLimit }: RefreshingOptions): Refreshing {
  const perAddress = limit(app, 'refresh_address', refreshLimit);
  return (request, reply, refreshToken) => {
    const address = clientAddress(request);
    return decide(request.log, { decision: 'refresh', ip: address }, async (facts) => {
      await perAddress(request, reply, countedAs(address));
      const issued = await credentials.refresh(refreshToken);
      facts.sub = issued.sub;
      return issued;
    });
  };
}
