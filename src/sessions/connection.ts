import type { Session } from '../tickets/session.ts';
import type { Peer } from './live-sessions.ts';

/** An admitted socket, as what lives behind the gate sees it. */
export interface Connection {
  readonly peer: Peer;
  /** As it is now: a refresh may have brought another record. */
  session(): Session;
  /** Whoever is being closed has no say any more. */
  isOpen(): boolean;
  /** @param text JSON. A peer that does not read what it is sent is dropped. */
  send(text: string): void;
  close(code: number, reason: string): void;
}

/** A message as it came: an object with a `type`. */
export type Message = { readonly type: string } & Readonly<Record<string, unknown>>;

/** One connection's stay behind the gate. */
export interface Stay {
  /** All messages but those about the session itself. */
  receive(message: Message): void;
  /** Its session goes on with another record. */
  renewed(): void;
  leave(): void;
}

/** Lets a connection in. */
export type Enter = (connection: Connection) => Stay;
