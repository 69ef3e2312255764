/** Removals that are remembered at once, while no renewal succeeds. */
const mostLately = 50_000;

/**
 * The sessions that have been taken out of the registry: those whose removal has not succeeded yet, and the latest of those whose
 * removal has, since a primary that takes over may not have heard of it. Each with the hashes that had it.
 */
export class Removals {
  readonly #pending = new Map<string, readonly string[]>();
  /** Since the last turn, and before it. */
  #lately = new Map<string, readonly string[]>();
  #before = this.#lately;

  begin(session_id: string, keys: readonly string[]): void {
    this.#pending.set(session_id, keys);
  }

  succeed(session_id: string, keys: readonly string[]): void {
    this.#pending.delete(session_id);
    this.#lately.set(session_id, keys);
    if (this.#lately.size >= mostLately) this.turn();
  }

  /** It has come back. */
  undo(session_id: string): void {
    this.#pending.delete(session_id);
  }

  /** The hashes that one is still to be taken out of. */
  pendingOf(session_id: string): readonly string[] | undefined {
    return this.#pending.get(session_id);
  }

  pending(): Iterable<string> {
    return this.#pending.keys();
  }

  /** What has succeeded lately is to be done again. */
  repeatLately(): void {
    for (const [session_id, keys] of [...this.#before, ...this.#lately]) this.#pending.set(session_id, keys);
  }

  /** All primaries know what had succeeded by the turn before. */
  turn(): void {
    this.#before = this.#lately;
    this.#lately = new Map();
  }
}
