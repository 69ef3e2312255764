import { createInterface, type Interface } from 'node:readline';

/** Standard input, a line at a time; none is lost that comes before it is asked for. */
export interface Lines extends AsyncIterable<string> {
  /** Where people type it. */
  readonly editor: Interface | undefined;
  /** The next line; empty at the end. */
  next(): Promise<string>;
  close(): void;
}

export function standardInput(): Lines {
  const { stdin, stdout } = process;
  const terminal = stdin.isTTY === true && stdout.isTTY === true;
  const reader = createInterface({ input: stdin, ...(terminal && { output: stdout }), terminal });
  const iterator = reader[Symbol.asyncIterator]();
  return {
    editor: terminal ? reader : undefined,
    async next() {
      const { done, value } = await iterator.next();
      return done ? '' : value;
    },
    close: () => reader.close(),
    [Symbol.asyncIterator]: () => iterator,
  };
}
