import { acceptableForms, type BindIp, countedAs } from '../address.ts';
import { BrokerError } from '../errors.ts';
import type { Feed } from '../revocations/feed.ts';
import type { Allowance } from '../store/store.ts';
import type { Repeat } from './record.ts';
import { type RedeemDeps, redeem } from './redeem.ts';
import type { TicketSession } from './session.ts';

export interface PresentDeps extends RedeemDeps {
  /** What an address may get wrong; undefined: as much as it likes. */
  attempts: Omit<Allowance, 'counter'> | undefined;
  bindIp: BindIp;
  feed: Pick<Feed, 'current' | 'find'>;
  /** Told the session that a used ticket opened, when the ticket comes back (RFC 6749 4.1.2). */
  onReplay: (sessionId: string) => Promise<void>;
}

/** Where, for what and by whom a ticket is presented, as far as it is known. */
export interface Presented {
  /** The presenter's address, in its canonical spelling; undefined: a ticket that is bound to one does not fit. */
  address: string | undefined;
  origin?: string | undefined;
  room?: string | undefined;
  aud?: string | undefined;
  repeat?: Repeat;
}

/**
 * Spends a ticket on behalf of whoever presents it, however it came in: attempts, bindings and revocations included.
 *
 * @throws BrokerError as `redeem` does
 */
export type Present = (ticket: string, presented: Presented) => Promise<TicketSession>;

export function presenter(deps: PresentDeps): Present {
  const { attempts, bindIp, feed, onReplay } = deps;
  return async (ticket, { address, origin, room, aud, repeat }) => {
    // Whoever has not heard of the latest revocations lets nobody in, and spends nobody's ticket.
    if (!feed.current) throw new BrokerError('store_unavailable', { reason: 'feed not current' });
    const addresses = acceptableForms(address ?? '', bindIp);
    const claim = {
      ...(aud && { aud }),
      ...(origin && { origin }),
      ...(addresses && { addresses }),
      ...(room && { room }),
      ...(repeat && { repeat }),
    };
    const allowance =
      attempts && address !== undefined
        ? { ...attempts, counter: `attempts:${countedAs(address)}` }
        : undefined;
    const session = await redeem(deps, ticket, claim, allowance).catch(async (error: unknown) => {
      if (error instanceof BrokerError && error.reason === 'replayed')
        await onReplay(String(error.facts['session_id']));
      throw error;
    });
    const { session_id, ticket_id, record } = session;
    const { sub, auth_time } = record;
    if (feed.find({ sub, auth_time, session_id, ticket_id })) {
      throw new BrokerError('invalid_ticket', { reason: 'revoked', facts: { sub, ticket_id } });
    }
    return session;
  };
}
