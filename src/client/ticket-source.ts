import { TicketError } from './ticket-error.ts';
import { requestTicket, type Ticket, type TicketWishes } from './ticket-request.ts';

/** What a token is asked for: `rejected`, the one before has just been refused; `expiring`, the session ends with the one before. */
export type Occasion = 'connect' | 'expiring' | 'rejected';

type Eventually<Value> = Value | Promise<Value>;

/** The user's token, or where to get it. Nothing: nobody is logged in, which ends the connection. */
export type Token = string | ((occasion: Occasion) => Eventually<string | null | undefined>);

export interface TicketSourceOptions {
  /** Absent: the browser sends its cookies instead. */
  token?: Token | undefined;
  ticketUrl?: string | URL | undefined;
  /** What the tickets are to be good for. */
  wishes?: TicketWishes | undefined;
  /** Gets tickets in another way than from `ticketUrl`: from a backend that mints for its users, say. */
  getTicket?:
    | ((occasion: Occasion, signal: AbortSignal) => Eventually<Pick<Ticket, 'ticket'> | null | undefined>)
    | undefined;
}

/** Gets a fresh ticket. @throws TicketError, or the signal's reason */
export type NextTicket = (occasion: Occasion, signal: AbortSignal) => Promise<Pick<Ticket, 'ticket'>>;

/** Milliseconds for all that one ticket takes, the app's own callback included. */
const patience = 15_000;

/** Fresh tickets, asked for one at a time; none is handed out twice. A refused token is asked for again, once. */
export function ticketSource(options: TicketSourceOptions): NextTicket {
  const { token, ticketUrl, wishes = {}, getTicket } = options;
  let underWay: Promise<unknown> = Promise.resolve();
  let handedOut: string | undefined;

  const tokenFor = async (occasion: Occasion, signal: AbortSignal): Promise<string | undefined> => {
    if (token === undefined) return undefined;
    const told = typeof token === 'string' ? token : await within(signal, () => token(occasion));
    if (!told) throw new TicketError(401, 'no_token');
    return told;
  };

  const fromBroker = async (occasion: Occasion, signal: AbortSignal): Promise<Ticket> => {
    if (!ticketUrl) throw new TicketError(400, 'no_ticket_url');
    const first = await tokenFor(occasion, signal);
    try {
      return await requestTicket(ticketUrl, first, wishes, signal);
    } catch (error) {
      if (!(error instanceof TicketError && error.unauthorized)) throw error;
      const second = await tokenFor('rejected', signal);
      if (second === first) throw error;
      return requestTicket(ticketUrl, second, wishes, signal);
    }
  };

  const fromApp = async (occasion: Occasion, signal: AbortSignal) => {
    const told = await within(signal, () => getTicket?.(occasion, signal));
    if (!told?.ticket) throw new TicketError(401, 'no_ticket');
    return told;
  };

  const next: NextTicket = async (occasion, signal) => {
    signal.throwIfAborted();
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    try {
      const got = await (getTicket ? fromApp : fromBroker)(occasion, bounded);
      if (got.ticket === handedOut) throw new TicketError(0, 'spent_ticket');
      handedOut = got.ticket;
      return got;
    } catch (error) {
      signal.throwIfAborted();
      if (bounded.aborted) throw new TicketError(0, 'timeout');
      throw error instanceof TicketError ? error : new TicketError(0, 'callback_failed');
    }
  };

  return (occasion, signal) => {
    const turn = underWay.then(() => next(occasion, signal));
    underWay = turn.catch(() => {});
    return turn;
  };
}

/** What the app's callback comes to, or the signal's reason, whichever is first: it may never come to anything. */
async function within<Value>(signal: AbortSignal, callback: () => Eventually<Value>): Promise<Value> {
  signal.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason);
  });
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([callback(), aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
