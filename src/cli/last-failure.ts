import { subscribe } from 'node:diagnostics_channel';

interface Told {
  request?: { path: string; upgrade: string | null };
  response?: { statusCode: number };
  error?: NodeJS.ErrnoException;
}

/**
 * Why the last attempt of this process to reach a server failed, where that is known: a code such as ECONNREFUSED, or the
 * status that a handshake was answered with. `fetch` and `WebSocket` keep it from the client, as browsers do, but Node's
 * (undici's) publish it: https://undici.nodejs.org/#/docs/api/DiagnosticsChannel
 */
export function watchFailures(): () => string | undefined {
  let failure: string | undefined;
  const hear = (event: string, heard: (told: Told) => string | undefined) =>
    subscribe(`undici:${event}`, (told) => {
      failure = heard(told as Told);
    });
  hear('request:create', () => undefined);
  hear('client:connectError', ({ error }) => error?.code ?? error?.name);
  // The query is left out: a ticket may be in it.
  hear('request:headers', ({ request, response }) =>
    request?.upgrade ? `${response?.statusCode} at ${request.path.replace(/\?.*/s, '')}` : undefined,
  );
  return () => failure;
}
