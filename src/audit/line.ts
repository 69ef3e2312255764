import { type Static, Type } from 'typebox';

const text = (description: string) => Type.String({ minLength: 1, maxLength: 300, description });
const optional = (description: string) => Type.Optional(text(description));
const id = (description: string) => Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description });
const choice = <const T extends string[]>(values: [...T], description: string) =>
  Type.Enum(values, { description });

const shared = {
  time: Type.String({
    pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$',
    description: 'UTC.',
  }),
  node: text('The process that decided, as `GET /sessions` names it.'),
};
const sub = text('The subject.');
const username = optional('Its name, where that is not the `sub`.');
const key = optional('The name of the service key that asked.');
const ticketId = id('The ticket, as the mint answered.');
const sessionId = id('The session, as the welcome message told.');
const aud = optional('The service that stands behind the gate.');
const exp = Type.Integer({ description: "Unix seconds of the session's end, at the latest." });
const bound_to = optional(
  'With `BIND_IP=log`, the address that the ticket was bound to, where it was another.',
);

const decision = <const Event extends string, Fields extends Parameters<typeof Type.Object>[0]>(
  event: Event,
  fields: Fields,
) =>
  Type.Object(
    {
      ...shared,
      event: Type.Literal(event),
      granted: Type.Boolean(),
      reason: text('`ok`, or what it was really about.'),
      ip: text("The client's address, or `unknown`."),
      ...fields,
    },
    { additionalProperties: false },
  );

/** What stands in `AUDIT_LOG`: docs/audit.md tells it with examples. */
export const AuditLine = Type.Union([
  decision('login', {
    sub: Type.Optional(sub),
    via: Type.Optional(Type.Literal('test-token', { description: 'Of the demo: with no password.' })),
  }),
  decision('refresh', { sub: Type.Optional(sub) }),
  decision('mint', {
    sub: Type.Optional(sub),
    username,
    key,
    aud: optional('The service that the ticket is for.'),
    ticket_id: Type.Optional(ticketId),
  }),
  decision('redeem', {
    via: choice(
      ['ws', 'bearer', 'token', 'message', 'verify', 'redeem'],
      'How it came: a ticket in the handshake; a token in a header, or in the query; a ticket in the first message; by /verify; by /tickets/redeem.',
    ),
    origin: optional('The page, as the browser says.'),
    aud,
    room: optional('The room that was asked for.'),
    sub: Type.Optional(sub),
    username,
    key,
    ticket_id: Type.Optional(ticketId),
    session_id: Type.Optional(
      id('The session; where the ticket was `replayed`, the one that it had opened.'),
    ),
    exp: Type.Optional(exp),
    bound_to,
  }),
  decision('refresh_session', {
    aud,
    room: optional('The room that the socket asked for when it was opened.'),
    sub,
    username,
    ticket_id: Type.Optional(id('The fresh ticket.')),
    session_id: sessionId,
    exp: Type.Optional(exp),
    bound_to,
  }),
  Type.Object(
    {
      ...shared,
      event: Type.Literal('revoke'),
      granted: Type.Boolean(),
      reason: text('`ok`, or what it was really about; of a ticket, what had become of it.'),
      ip: optional('The address that asked; absent where `by` is `broker`.'),
      by: Type.Optional(
        choice(
          ['user', 'service', 'holder', 'broker'],
          'Who; `holder` has shown the ticket itself, `broker` acts on its own. Absent where nobody knows who asked.',
        ),
      ),
      key,
      target: Type.Optional(
        choice(['sub', 'session_id', 'ticket_id'], 'Which of these fields says what is revoked.'),
      ),
      sub: optional('Whose: the one named, or the user who asked.'),
      issued_before: Type.Optional(
        Type.Number({ description: 'Unix seconds: of `sub`, what is not later.' }),
      ),
      session_id: Type.Optional(id('The session; of a spent ticket, the one that it had opened.')),
      ticket_id: Type.Optional(ticketId),
      because: optional('Why, in the words of who revoked.'),
      rid: optional('Names the revocation in the feed, and in every `session_end` that it leads to.'),
      sessions: Type.Optional(Type.Integer({ description: 'Live sessions that it was found to reach.' })),
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      ...shared,
      event: Type.Literal('session_end'),
      session_id: sessionId,
      ticket_id: Type.Optional(id('The last ticket that it went on by; absent where it came with a token.')),
      sub,
      ip: text("The client's address."),
      via: text('How it had come, as in `redeem`.'),
      code: Type.Integer({
        description: 'RFC 6455 7.4: what this node closed with, else what the peer did.',
      }),
      ended_by: choice(
        ['revocation', 'deadline', 'node', 'peer'],
        '`node`: it stopped, or would not have what was sent. `peer`: it closed, or was not heard of any more (1006).',
      ),
      reason: optional('What the node said; absent where `ended_by` is `peer`.'),
      rid: optional('The revocation.'),
      duration: Type.Number({ minimum: 0, description: 'Seconds.' }),
    },
    { additionalProperties: false },
  ),
]);
export type AuditLine = Static<typeof AuditLine>;
