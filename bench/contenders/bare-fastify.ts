import Fastify from 'fastify';
import { mintAnswer } from './mint-answer.ts';

/** The limit of a mint: the framework answering the same JSON, with the same schema, to anybody. */
const app = Fastify();
app.post('/tickets', { schema: { response: { 201: mintAnswer } } }, async (request, reply) => {
  const ticket = `wst_${'A'.repeat(43)}`;
  const url = `ws://${request.host}/ws?ticket=${ticket}`;
  return reply.code(201).send({ ticket, ticket_id: 'A'.repeat(22), expires_in: 30, url });
});
await app.listen({ host: process.env['HOST'] ?? '', port: Number(process.env['PORT']) });
