import { Type } from 'typebox';
import { harmlessPattern, textPart } from '../text.ts';
import { HarmlessName, Name, SessionId, strict } from './schemas.ts';

export const RevocationRequest = Type.Object(
  {
    sub: Type.Optional(HarmlessName),
    issued_before: Type.Optional(
      Type.Number({
        minimum: 0,
        description: 'NumericDate, fractions allowed; default: now. With `sub` only.',
      }),
    ),
    session_id: Type.Optional(SessionId),
    ticket_id: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' })),
    reason: Type.Optional(
      Type.String({
        pattern: harmlessPattern(100),
        description: 'Also told to whom it reaches, as the reason of the 3003.',
      }),
    ),
  },
  { ...strict, title: 'RevocationRequest', examples: [{ sub: 'alice', reason: 'left the company' }] },
);

export const RevocationAnswer = Type.Object(
  {
    id: Type.String({ description: 'Its place in the feed.' }),
    sessions: Type.Integer({
      description: 'Live sessions that it reaches, as far as they could be counted.',
    }),
  },
  { title: 'RevocationAnswer' },
);

export const SessionPath = Type.Object({ session_id: SessionId });

export const SessionsQuery = Type.Object({
  sub: Type.Optional(Name),
  // A node's name, and a number that Redis takes; or empty, for the first page.
  cursor: Type.Optional(
    Type.String({
      pattern: `^(${textPart(255)}:[0-9]{1,19})?$`,
      description: 'From the page before.',
    }),
  ),
});

export const SessionPage = Type.Object(
  {
    sessions: Type.Array(
      Type.Object({
        session_id: SessionId,
        sub: Type.String(),
        username: Type.String(),
        node: Type.String({
          description:
            'The process that let it in, and that holds the socket unless `via` is `redeem` or `verify`.',
        }),
        ip: Type.String(),
        since: Type.Number({ description: 'Unix seconds.' }),
        exp: Type.Number({ description: 'Unix seconds.' }),
        via: Type.String({ description: 'How it came in.' }),
      }),
    ),
    cursor: Type.Optional(
      Type.String({ description: 'Where the next page begins; absent on the last one.' }),
    ),
  },
  { title: 'SessionPage' },
);
