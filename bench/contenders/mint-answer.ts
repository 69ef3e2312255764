const text = { type: 'string' };

/** What a mint answers: with its schema, Fastify writes JSON faster. */
export const mintAnswer = {
  type: 'object',
  properties: { ticket: text, ticket_id: text, expires_in: { type: 'integer' }, url: text },
};
