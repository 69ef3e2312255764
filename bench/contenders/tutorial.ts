import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import express from 'express';
import { createClient } from 'redis';
import { WebSocketServer } from 'ws';

/** The ticket as tutorials teach it: Express hands out a UUID, SET with an expiry, GETDEL on upgrade. */
const redis = createClient({ url: process.env['REDIS_URL'] ?? '' });
await redis.connect();

const app = express();
app.use(express.json());
app.post('/tickets', async (request, response) => {
  const ticket = randomUUID();
  const user = JSON.stringify({ userId: request.body.sub });
  await redis.set(`ticket:${ticket}`, user, { expiration: { type: 'EX', value: 300 } });
  response.status(201).json({ ticket });
});

const server = createServer(app);
const sockets = new WebSocketServer({ noServer: true });

server.on('upgrade', async (request, socket, head) => {
  const { searchParams } = new URL(request.url ?? '', `http://${request.headers.host}`);
  const user = await redis.getDel(`ticket:${searchParams.get('ticket')}`);
  if (user === null) {
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (opened) => {
    sockets.emit('connection', opened, request, JSON.parse(user));
  });
});
server.listen(Number(process.env['PORT']), process.env['HOST']);
