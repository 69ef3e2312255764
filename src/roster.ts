interface Seat<T> {
  /** Undefined once it is struck off: an array that has been outgrown may remember the seat for long. */
  item: T | undefined;
  at: number;
}

/**
 * Who is there, where thousands come and go. Each table that a `Set` or a `Map` of V8 outgrows goes on holding what was in it, and is
 * linked to the next: what has long been deleted is kept by every minor garbage collection, with all that hangs on it.
 */
export class Roster<T extends object> implements Iterable<T> {
  readonly #seats: Seat<T>[] = [];

  /** @returns what strikes it off, as often as one likes */
  add(item: T): () => void {
    const seat: Seat<T> = { item, at: this.#seats.length };
    this.#seats.push(seat);
    return () => this.#strike(seat);
  }

  get size(): number {
    return this.#seats.length;
  }

  /** Those who are there now, in no order, but for who is struck off meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (const seat of this.#seats.slice()) if (seat.item !== undefined) yield seat.item;
  }

  #strike(seat: Seat<T>): void {
    if (seat.item === undefined) return;
    seat.item = undefined;
    const last = this.#seats.pop() as Seat<T>;
    if (last === seat) return;
    this.#seats[seat.at] = last;
    last.at = seat.at;
  }
}
