import type { Logger } from 'pino';
import { BrokerError } from '../errors.ts';
import { closeCodes } from './close-codes.ts';
import type { Message, Stay } from './connection.ts';
import type { LiveSession, Peer } from './live-sessions.ts';
import { anotherSubject, type Refresh } from './refresh.ts';
import { tokenBucket } from './token-bucket.ts';

export interface ReceiverOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Pick<Logger, 'error'>;
  refresh: Refresh;
  /** Messages that a socket may send in a second; 0 = no limit. */
  messageLimit: number;
}

export interface Heard {
  readonly peer: Peer;
  readonly session: LiveSession;
  /** Undefined: nothing lives behind the gate. */
  readonly stay: Stay | undefined;
  send(message: object): void;
}

/** What becomes of what an admitted socket says. @returns for each socket, what takes its messages, as text */
export function receiver({ now, log, refresh, messageLimit }: ReceiverOptions) {
  /** Moves the deadline on with a fresh ticket of the same subject. */
  const refreshed = async ({ peer, session, stay, send }: Heard, ticket: string) => {
    try {
      const fresh = await refresh(ticket, peer, session.session());
      session.renew(fresh);
      send({ type: 'session.refreshed', expires_in: Math.floor((fresh.deadline - now()) / 1000) });
      stay?.renewed();
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      if (error.reason === anotherSubject) session.end(closeCodes.policy, 'another subject');
      else
        send({
          type: 'error',
          error: error.code,
          error_description: error.message,
          about: 'session.refresh',
        });
    }
  };

  const take = (heard: Heard, message: Message) => {
    const { session, stay, send } = heard;
    if (message.type !== 'session.refresh') {
      if (stay) return stay.receive(message);
      return send({
        type: 'error',
        error: 'unknown_type',
        error_description: 'Nothing here takes messages of this type.',
      });
    }
    const { ticket } = message;
    if (typeof ticket !== 'string') return session.end(closeCodes.policy, 'ticket is missing');
    refreshed(heard, ticket).catch((err) => log.error({ err }, 'unexpected error'));
  };

  return (heard: Heard) => {
    const messages = messageLimit > 0 ? tokenBucket(messageLimit, now) : undefined;
    let told = false;
    return (text: string) => {
      const retry_after_ms = messages?.take() ?? 0;
      if (retry_after_ms > 0) {
        // Once, until it has slowed down: whoever does not listen is not answered each time.
        if (!told) {
          const error_description = 'Too many messages: those above the limit are dropped.';
          heard.send({ type: 'error', error: 'rate_limited', error_description, retry_after_ms });
        }
        told = true;
        return;
      }
      told = false;
      const message = parsed(text);
      if (message === undefined) heard.session.end(closeCodes.notJson, 'not JSON');
      else if (isMessage(message)) take(heard, message);
      else heard.session.end(closeCodes.policy, 'a message is an object with a type');
    };
  };
}

/** @returns undefined for what is not JSON */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}
