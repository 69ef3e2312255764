import { constants } from 'node:os';

/**
 * Ends the process when nobody reads any more what it prints, as in `… | head -1`: without a word, and with the status of
 * a process that SIGPIPE has ended, which Node ignores.
 */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE);
      throw error;
    });
  }
}
