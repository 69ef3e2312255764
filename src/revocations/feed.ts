import type { Revocable, Revocation } from './revocation.ts';

/** A revocation at its place in the feed. */
export interface FeedEntry {
  /** Where the feed can be resumed. Opaque; orders nothing across a failover. */
  readonly cursor: string;
  readonly revocation: Revocation;
}

/**
 * The ordered stream of revocations that every node follows. Every driver passes `test/support/feed-contract.ts`.
 */
export interface Feed {
  /**
   * Adds a revocation. Resolves with its cursor once it cannot be forgotten, and after this node has it.
   *
   * @throws BrokerError `store_unavailable`: it may stand all the same; adding it again is harmless
   */
  publish(revocation: Revocation): Promise<string>;
  /** Hands over each revocation from now on, once. @returns what ends that */
  follow(listener: (entry: FeedEntry) => void): () => void;
  /** What came after a cursor and is still retained, oldest first; all of it, when the cursor is not known. */
  since(cursor: string | undefined): readonly FeedEntry[];
  /** The revocation that reaches a subject, by what this node remembers: no round trip. */
  find(subject: Revocable): Revocation | undefined;
  /** Whether the followers have been handed all there is, up to a moment ago. */
  readonly current: boolean;
  /** Milliseconds since its last sign of life; 0 where there is nobody to hear from. */
  readonly silentMs: number;
  close(): Promise<void>;
}
