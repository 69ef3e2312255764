import { WebSocketServer } from 'ws';

/** The limit: `ws` and nothing else, anybody is let in. */
new WebSocketServer({ host: process.env['HOST'], port: Number(process.env['PORT']) });
