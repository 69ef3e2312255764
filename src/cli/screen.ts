import { clearLine, cursorTo, type Interface, moveCursor } from 'node:readline';
import { printable } from './printable.ts';

/** Where a client prints while somebody types. */
export interface Screen {
  /** What the command is for. */
  print(line: string): void;
  /** What it says of itself, on stderr. */
  note(line: string): void;
  /** Takes the line that has just been typed off the terminal. */
  takeBack(): void;
}

/** @param typed the line editor of a terminal: what is printed stands above the line that is being typed */
export function screen(typed: Interface | undefined): Screen {
  if (!typed) {
    return {
      print: (line) => console.log(line),
      note: (line) => console.error(printable(line)),
      takeBack() {},
    };
  }
  const { stdout } = process;
  const above = (line: string) => {
    cursorTo(stdout, 0);
    clearLine(stdout, 0);
    stdout.write(`${line}\n`);
    typed.prompt(true);
  };
  typed.prompt();
  return {
    print: above,
    note: (line) => above(printable(`* ${line}`)),
    takeBack() {
      moveCursor(stdout, 0, -1);
      clearLine(stdout, 0);
      typed.prompt();
    },
  };
}
