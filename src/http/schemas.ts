import { Type } from 'typebox';
import { harmlessPattern, textPattern } from '../text.ts';
import { mostRooms, roomPattern } from '../tickets/room.ts';

export const strict = { additionalProperties: false } as const;

const count = (description: string) => ({ type: 'integer', description });
/** draft-ietf-httpapi-ratelimit-headers-06. */
export const limitHeaders = {
  'RateLimit-Limit': count('Calls in a window; where two limits apply, those of the tighter one.'),
  'RateLimit-Remaining': count('Calls that are left of them.'),
  'RateLimit-Reset': count('Seconds until the window ends.'),
};

export const Name = Type.String({ pattern: textPattern(255) });
/** One that goes into the log and the feed as it is. */
export const HarmlessName = Type.String({ pattern: harmlessPattern(255) });
const Room = Type.String({ pattern: roomPattern });
const Origin = Type.String({ pattern: '^[a-z][a-z0-9+.-]*://[^/\\s]{1,255}$' });

export const Login = Type.Object(
  { username: Name, password: Type.String({ minLength: 1, maxLength: 1024 }) },
  { ...strict, title: 'Login', examples: [{ username: 'alice', password: 'correct horse battery staple' }] },
);

export const LoginAnswer = Type.Object(
  {
    token: Type.String(),
    expires_in: Type.Integer({ description: 'Seconds.' }),
    refresh_token: Type.String({ description: 'Buys the next token at `POST /token`, once.' }),
  },
  { title: 'LoginAnswer', headers: limitHeaders },
);

export const TestTokenAnswer = Type.Object(
  {
    test_token: Type.String(),
    note: Type.String({ description: 'Whose it is, what it is good for, and until when.' }),
  },
  { title: 'TestTokenAnswer', headers: limitHeaders },
);

/** RFC 6749 4.3.2 and 6; unknown parameters are ignored, as its 3.2 demands. */
export const TokenRequest = Type.Object(
  {
    grant_type: Type.Optional(
      Type.String({ description: '`password`, which is also the default, or `refresh_token`.' }),
    ),
    refresh_token: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    username: Type.Optional(Name),
    password: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
  },
  {
    title: 'TokenRequest',
    examples: [{ grant_type: 'password', username: 'alice', password: 'correct horse battery staple' }],
  },
);

export const TokenAnswer = Type.Object(
  {
    access_token: Type.String(),
    token_type: Type.Literal('bearer'),
    expires_in: Type.Integer({ description: 'Seconds.' }),
    refresh_token: Type.String({
      description: 'Single-use. The same one again within 10 s: the same answer.',
    }),
  },
  { title: 'TokenAnswer', description: 'RFC 6749 5.1.', headers: limitHeaders },
);

/** How many lists and objects of a context may be in each other. */
export const contextDepth = 32;

export const MintRequest = Type.Object(
  {
    rooms: Type.Optional(
      Type.Array(Room, {
        maxItems: mostRooms,
        uniqueItems: true,
        description:
          'Narrows the rooms that the user may enter; absent: all of them, which must be named where a set holds more than 100.',
      }),
    ),
    context: Type.Optional(
      Type.Unknown({
        description: `Any JSON of at most 2 KiB, nested at most ${contextDepth} deep; comes back with the redemption.`,
      }),
    ),
    aud: Type.Optional(
      Type.Intersect([Name], { description: 'The service the ticket is for; absent: any.' }),
    ),
    bind: Type.Optional(
      Type.Object(
        {
          origin: Type.Optional(Origin),
          ip: Type.Optional(Type.String({ maxLength: 64, description: 'Needs BIND_IP on the server.' })),
        },
        { ...strict, description: 'Where the ticket may be presented from.' },
      ),
    ),
    ttl: Type.Optional(Type.Integer({ minimum: 1, description: 'Seconds, up to TICKET_TTL_MAX.' })),
    sub: Type.Optional(HarmlessName),
    username: Type.Optional(HarmlessName),
  },
  {
    ...strict,
    title: 'MintRequest',
    description: 'With a user token, the user is who the token says; with a service key, `sub` is required.',
    examples: [{ rooms: ['demo'], ttl: 30 }],
  },
);

const Ticket = Type.String({ description: '`wst_` and 43 characters. Opens one socket, once.' });
const TicketId = Type.String({ description: 'Names the ticket; not a secret.' });

export const MintAnswer = Type.Object(
  {
    ticket: Ticket,
    ticket_id: TicketId,
    expires_in: Type.Integer({ description: 'Seconds from now.' }),
    url: Type.String({ description: 'Ready for `new WebSocket(url)`.' }),
  },
  { title: 'MintAnswer', headers: limitHeaders },
);

export const TicketPath = Type.Object({
  ticket_id: Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description: 'As the mint answered.' }),
});

export const RevokeTicketRequest = Type.Object(
  { ticket: Type.String({ maxLength: 1024 }) },
  { ...strict, title: 'RevokeTicketRequest', examples: [{ ticket: 'wst_…' }] },
);

/** What the demo page asks about a ticket that it holds, and what it hears. */
export const TicketFateRequest = Type.Object({ ticket: Type.String({ maxLength: 1024 }) }, strict);

export const TicketFate = Type.Object({
  state: Type.Enum(['unused', 'used', 'revoked', 'unknown']),
  session_id: Type.Optional(Type.String()),
  node: Type.Optional(Type.String()),
});

export const RedeemRequest = Type.Object(
  {
    ticket: Type.String({ maxLength: 1024 }),
    aud: Type.Optional(
      Type.Intersect([Name], { description: 'The service that asks: a ticket for another does not fit.' }),
    ),
    origin: Type.Optional(Type.String({ maxLength: 300, description: "The handshake's Origin." })),
    ip: Type.Optional(
      Type.String({ maxLength: 64, description: "The client's address: its attempts are counted." }),
    ),
    room: Type.Optional(Room),
    redemption_id: Type.Optional(
      Type.String({
        pattern: '^[\\x21-\\x7e]{1,128}$',
        description:
          'Names the question, so that it can be asked again: 1 to 128 printable ASCII characters, no blank.',
      }),
    ),
  },
  { ...strict, title: 'RedeemRequest', examples: [{ ticket: 'wst_…', ip: '192.0.2.1', room: 'demo' }] },
);

export const SessionId = Type.String({
  pattern: '^[A-Za-z0-9_-]{22}$',
  description: 'As the welcome message told.',
});

export const RedeemAnswer = Type.Object(
  {
    active: Type.Boolean(),
    sub: Type.Optional(Type.String()),
    username: Type.Optional(Type.String()),
    rooms: Type.Optional(Type.Array(Type.String(), { description: 'Absent: any.' })),
    context: Type.Optional(Type.Unknown({ description: 'As it was given with the mint.' })),
    session_id: Type.Optional(SessionId),
    exp: Type.Optional(Type.Integer({ description: "The session's end, Unix seconds." })),
    auth_time: Type.Optional(
      Type.Number({
        description:
          'When the credential was presented, Unix seconds: a revocation of `sub` reaches what is not later than its `issued_before`.',
      }),
    ),
  },
  { title: 'RedeemAnswer', description: 'Only `active`, where it is false.' },
);

export const Empty = Type.Object({}, { ...strict, title: 'Empty' });

export const NoContent = Type.Null({ description: 'Done.' });

export const Status = Type.Object({ status: Type.Literal('ok') }, { title: 'Status' });

export const Jwks = Type.Object(
  { keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) },
  { title: 'JWKS', description: 'RFC 7517.' },
);

export const HandshakeQuery = Type.Object({
  token: Type.Optional(Type.String({ description: 'A token instead, where WS_ACCEPT says so.' })),
  ticket: Type.Optional(Type.String({ description: 'The ticket, where the subprotocol cannot carry it.' })),
  room: Type.Optional(Type.String({ description: 'A room that the ticket must allow.' })),
});

export const VerifyQuery = Type.Object({
  aud: Type.Optional(
    Type.String({
      description:
        'The service behind the proxy; default: WS_AUDIENCE, which it overrules only with VERIFY_URI_HEADER.',
    }),
  ),
  ticket: Type.Optional(Type.String({ description: 'Where the proxy appends the original query.' })),
  room: Type.Optional(Type.String({ description: 'A room that the ticket must allow.' })),
});
