import { readFile } from 'node:fs/promises';
import { Option } from 'commander';
import { bearer } from './broker.ts';
import { readSecret } from './input.ts';

/** Where the service key is. There is no option for the key itself: everybody on the machine could read it. */
export function keyFileOption(otherwise = ', else read from standard input'): Option {
  return new Option(
    '--key-file <path>',
    `holds the service key, - is standard input; else it is TICKET_BROKER_KEY${otherwise}`,
  );
}

/** The service key, as an `Authorization` header. @throws Error when there is none */
export async function serviceKey(path: string | undefined): Promise<string> {
  const given = await givenKey(path);
  return bearer(given ?? (await readSecret('Service key: ')).trim(), 'service key');
}

/** The service key that a file or the environment holds. */
export async function givenKey(path: string | undefined): Promise<string | undefined> {
  const { TICKET_BROKER_KEY } = process.env;
  if (path === undefined) return TICKET_BROKER_KEY?.trim() || undefined;
  if (path === '-') return (await readSecret('Service key: ')).trim();
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new Error(`--key-file cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
