import { randomBytes } from 'node:crypto';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { jwtVerify } from 'jose';
import { mintAnswer } from './mint-answer.ts';

/**
 * The least that a mint can be: a nonce, and one SET with an expiry. Nothing is limited, counted or logged, and who asks
 * is checked only where JWT_SECRET is set: the signature of an HS256 token, by jose.
 */
const redis = new Redis(process.env['REDIS_URL'] ?? '');
const secret = process.env['JWT_SECRET'];
// jose would import a raw secret anew for every token.
const key =
  secret &&
  (await crypto.subtle.importKey('raw', Buffer.from(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'verify',
  ]));

const app = Fastify();
app.post('/tickets', { schema: { response: { 201: mintAnswer } } }, async (request, reply) => {
  const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
  const sub = key ? (await jwtVerify(token, key, { algorithms: ['HS256'] })).payload.sub : token;
  const ticket = `wst_${randomBytes(32).toString('base64url')}`;
  await redis.set(ticket, JSON.stringify({ sub }), 'EX', 30);
  const url = `ws://${request.host}/ws?ticket=${ticket}`;
  return reply.code(201).send({ ticket, ticket_id: ticket.slice(-22), expires_in: 30, url });
});
await app.listen({ host: process.env['HOST'] ?? '', port: Number(process.env['PORT']) });
