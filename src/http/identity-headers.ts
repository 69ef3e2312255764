import type { Session } from '../tickets/session.ts';

/** What the identity headers begin with, by the name of the preset: oauth2-proxy's, Authelia's, and Traefik's custom. */
const prefixes = {
  'x-auth-request': 'X-Auth-Request-',
  remote: 'Remote-',
  'x-forwarded': 'X-Forwarded-',
} as const;

export type HeaderPreset = keyof typeof prefixes;

const meanings = {
  User: 'The `sub`, percent-encoded.',
  'Preferred-Username': 'The `username`, percent-encoded.',
  Session: 'The `session_id`.',
  Expires: 'Unix seconds of the session’s end.',
  'Auth-Time': 'Unix seconds at which the credential was presented.',
  Rooms: 'JSON, `null` for any.',
  Context: 'JSON, `null` for none.',
};

/** As the OpenAPI document describes them. */
export function identityHeaderSchemas(preset: HeaderPreset) {
  return Object.fromEntries(
    Object.entries(meanings).map(([name, description]) => [
      `${prefixes[preset]}${name}`,
      { type: 'string', description },
    ]),
  );
}

/**
 * Who was let in, for the service behind the proxy. Text is percent-encoded where it is not visible ASCII; rooms and
 * context are JSON in ASCII, `null` for any room and for no context. None is ever absent or empty: some proxies would pass on
 * a placeholder, or what the client sent. They are as long as what they tell: 100 rooms named by UUIDs take 4 KB, and each
 * character of a context that is not ASCII takes 6 bytes.
 */
export function identityHeaders(preset: HeaderPreset, session: Session): Record<string, string> {
  const { session_id, exp, record } = session;
  const { sub, username, rooms, context, auth_time } = record;
  const named: Record<keyof typeof meanings, string> = {
    User: text(sub),
    'Preferred-Username': text(username),
    Session: session_id,
    Expires: String(exp),
    'Auth-Time': String(auth_time),
    Rooms: json(rooms ?? null),
    Context: json(context ?? null),
  };
  return Object.fromEntries(
    Object.entries(named).map(([name, value]) => [`${prefixes[preset]}${name}`, value]),
  );
}

function text(value: string): string {
  return value.toWellFormed().replace(/[^\x21-\x24\x26-\x7e]/gu, encodeURIComponent);
}

function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
