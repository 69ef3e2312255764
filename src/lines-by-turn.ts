export interface LinesByTurn {
  /** @param line with its line break */
  write(line: string): void;
  flushSync(): void;
}

/** The lines of one turn of the event loop leave in one write, before the next turn: none waits, and none is lost at the exit. */
export function linesByTurn(write: (lines: string) => void): LinesByTurn {
  let lines = '';
  const flushSync = () => {
    if (lines === '') return;
    const gathered = lines;
    lines = '';
    write(gathered);
  };
  process.on('exit', flushSync);
  return {
    write(line) {
      if (lines === '') setImmediate(flushSync);
      lines += line;
    },
    flushSync,
  };
}
