import websocket from '@fastify/websocket';
import Fastify from 'fastify';

/** The framework that the product is built on, with nothing asked of anybody. */
const app = Fastify();
await app.register(websocket);
app.get('/ws', { websocket: true }, () => {});
await app.listen({ host: process.env['HOST'] ?? '', port: Number(process.env['PORT']) });
