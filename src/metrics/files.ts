import { Gauge, type Registry } from '@prometheus-io/client';
import { type CredentialsFile, type CredentialsFiles, parsers } from '../credentials/files.ts';
import { type WatchedFile, watchFile } from '../credentials/watched-file.ts';

/**
 * Whether the credentials files can be used as they are. Looked at by ourselves: a key that was taken away by a mistyped line
 * is valid for as long as nobody notices, and its file is read only when somebody shows a key.
 */
export function fileMetrics(registers: Registry[]): { watch(files: CredentialsFiles): void } {
  let looks: (readonly [CredentialsFile, () => boolean])[] = [];

  new Gauge({
    name: 'ticket_broker_file_usable',
    help: '1 when the file can be used as it is; 0: what was read of it before still holds. Looked at with every scrape.',
    labelNames: ['variable'],
    registers,
    collect() {
      for (const [variable, isUsable] of looks) this.set({ variable }, isUsable() ? 1 : 0);
    },
  });

  return {
    watch(files) {
      looks = (Object.keys(parsers) as CredentialsFile[]).flatMap((variable) => {
        const path = files[variable];
        return path === undefined ? [] : [[variable, usability(path, parsers[variable])] as const];
      });
    },
  };
}

/** Reads the file only when it has changed. */
function usability(path: string, parse: (text: string) => unknown): () => boolean {
  let usable = false;
  let file: WatchedFile<void> | undefined;
  const read = (text: string) => {
    parse(text);
    usable = true;
  };
  const fault = () => {
    usable = false;
  };
  return () => {
    try {
      file ??= watchFile(path, read, fault);
      file.current();
    } catch {
      fault();
    }
    return usable;
  };
}
