/**
 * Some at a time, of something long. Each slice is made when it is asked for: what has gone meanwhile is not in it, and what
 * has come will be, where what it is made of goes by that.
 */
export function* slices<Item>(items: Iterable<Item>, atOnce: number): Iterable<Item[]> {
  let slice: Item[] = [];
  for (const item of items) {
    slice.push(item);
    if (slice.length < atOnce) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
