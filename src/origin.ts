import { BrokerError } from './errors.ts';

/**
 * Keeps pages of other origins from using a visitor's connection (RFC 6455 10.2). A client that sends no Origin is not a
 * browser and is let through: it has no ambient authority to borrow, unless it shows a cookie, which is for `http/cookie-token.ts`
 * to judge.
 *
 * @param allowed undefined: only the host that the request was made to
 * @throws BrokerError `origin_forbidden`
 */
export function checkOrigin(
  origin: string | undefined,
  host: string,
  allowed: ReadonlySet<string> | '*' | undefined,
): void {
  if (origin === undefined || allowed === '*') return;
  if (allowed ? allowed.has(origin) : isSameHost(origin, host)) return;
  throw new BrokerError('origin_forbidden');
}

/**
 * Whether it is spelt as browsers send it: `https://app.example.com`, with no slash at the end, or as an app's or an
 * extension's: `capacitor://localhost`.
 */
export function isOrigin(value: string): boolean {
  const url = URL.parse(value);
  return !!url?.host && !url.host.includes('*') && `${url.protocol}//${url.host}` === value;
}

function isSameHost(origin: string, host: string): boolean {
  // As browsers spell it, and nothing more: no user, no path.
  if (!URL.canParse(origin) || new URL(origin).origin !== origin.toLowerCase()) return false;
  const { protocol, host: originHost } = new URL(origin);
  const target = `${protocol}//${host}`;
  return originHost !== '' && URL.canParse(target) && new URL(target).host === originHost;
}
