import { InvalidArgumentError, Option } from 'commander';
import { fetchFailure } from '../fetch-failure.ts';

/** Where the broker is, for the commands that talk to a running one. */
export function urlOption(): Option {
  return new Option('--url <url>', 'the running broker')
    .default('http://127.0.0.1:8080')
    .argParser(brokerUrl);
}

/** @throws InvalidArgumentError for what is no http or https URL, or more than a host: credentials must go nowhere else */
export function brokerUrl(text: string): string {
  if (/^https?:\/\/[^/?#@\\\s]+\/?$/i.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('It must be such as https://broker.example, with nothing behind the host.');
}

/** Of the WebSocket, at the same broker: what is shown there is for nobody else. */
export function pathOption(explained: string): Option {
  return new Option('--path <path>', explained).argParser((text) => {
    if (/^\/(?![/\\])\S*$/.test(text)) return text;
    throw new InvalidArgumentError('It must be such as /ws.');
  });
}

const origins = {
  token: '--token or TICKET_BROKER_TOKEN',
  'service key': '--key-file or TICKET_BROKER_KEY',
};

/**
 * A credential as an `Authorization` header.
 *
 * @throws Error when no header can hold it, without quoting it
 */
export function bearer(credential: string, what: keyof typeof origins): string {
  if (/^[\w~+/.=-]+$/.test(credential)) return `Bearer ${credential}`;
  throw new Error(
    `the ${what} ${credential === '' ? `is empty (${origins[what]})` : 'holds characters that none has'}`,
  );
}

/** What a broker has refused with. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;

  constructor(status: number, code: string, description: string) {
    super(`${status} ${code}: ${description}`);
    this.status = status;
  }
}

/**
 * Calls the broker and returns its JSON.
 *
 * @param isAnswer whether an object is what this call is answered with: a portal in front may answer 200 to anything
 * @throws Refused saying what the broker said, Error saying that none can be reached there within ten seconds, or that what
 *   is there is none
 */
export async function callBroker<T extends object>(
  url: string,
  path: string,
  init: RequestInit,
  isAnswer: (body: Partial<T>) => boolean,
): Promise<T> {
  const { origin } = new URL(url);
  const signal = AbortSignal.timeout(10_000);
  const unreachable = (error: Error): never => {
    throw new Error(`${origin} (--url) cannot be reached: ${fetchFailure(error)}`);
  };
  // Not followed: it would hand what is sent to somebody else.
  const redirect = 'manual';
  const response = await fetch(new URL(path, url), { ...init, redirect, signal }).catch(unreachable);
  const body = objectIn(await response.text().catch(unreachable));
  if (response.ok && isAnswer(body as Partial<T>)) return body as T;
  const { error, error_description: description } = body;
  if (response.ok || typeof error !== 'string')
    throw new Error(`${origin} (--url) answered ${response.status}, and not as a broker`);
  throw new Refused(response.status, error, typeof description === 'string' ? description : '');
}

/** The same, with a body of JSON. @param authorization as a header has it */
export function postJson<T extends object>(
  url: string,
  path: string,
  body: object,
  isAnswer: (body: Partial<T>) => boolean,
  authorization?: string,
): Promise<T> {
  const headers = { 'content-type': 'application/json', ...(authorization && { authorization }) };
  return callBroker<T>(url, path, { method: 'POST', headers, body: JSON.stringify(body) }, isAnswer);
}

function objectIn(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
