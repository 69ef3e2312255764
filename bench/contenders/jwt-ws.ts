import { createServer } from 'node:http';
import { importJWK, type JWK, jwtVerify } from 'jose';
import { WebSocketServer } from 'ws';

/** What many do: a JWT in the query, checked with jose before the upgrade. JWT_KEY is the key that verifies, as a JWK. */
const jwk = JSON.parse(process.env['JWT_KEY'] ?? '') as JWK & { alg: string };
// jose would import a raw secret anew for every token.
const key =
  jwk.kty === 'oct'
    ? await crypto.subtle.importKey('jwk', jwk, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
    : await importJWK(jwk);

const server = createServer();
const sockets = new WebSocketServer({ noServer: true });

server.on('upgrade', async (request, socket, head) => {
  try {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost');
    await jwtVerify(searchParams.get('token') ?? '', key, { algorithms: [jwk.alg], issuer: 'bench' });
    sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
  } catch {
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  }
});
server.listen(Number(process.env['PORT']), process.env['HOST']);
