import { Option } from 'commander';

/** Where the broker is, for the commands that talk to a running one. */
export function urlOption(): Option {
  return new Option('--url <url>', 'the running broker').default('http://127.0.0.1:8080');
}

/**
 * Calls the broker and returns its JSON.
 *
 * @throws Error saying what the broker said, or that it cannot be reached within ten seconds
 */
export async function callBroker<T>(url: string, path: string, init: RequestInit): Promise<T> {
  const response = await fetch(new URL(path, url), { ...init, signal: AbortSignal.timeout(10_000) }).catch(
    () => {
      throw new Error(`${new URL(url).origin} cannot be reached`);
    },
  );
  const body = (await response.json().catch(() => ({}))) as T & {
    error?: string;
    error_description?: string;
  };
  if (!response.ok)
    throw new Error(`${response.status} ${body.error ?? ''}: ${body.error_description ?? ''}`);
  return body;
}
