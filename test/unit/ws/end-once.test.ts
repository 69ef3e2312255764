import { once } from 'node:events';
import { createServer } from 'node:net';
import { PassThrough, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { Receiver } from 'ws';
import { endOnce } from '../../../src/ws/end-once.ts';
import { dial } from '../../support/e2e-raw-http.ts';

test('a socket that has been ended is ended no second time, which would make an error', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const [[served], client] = await Promise.all([once(server, 'connection'), dial(port)]);
  endOnce(served);
  let told: Error | undefined | null;
  served.end('the end');
  served.end('once more', (error: Error | null) => {
    told = error;
  });
  const [heard] = await once(client.setEncoding('utf8'), 'data');
  await once(client, 'end');
  expect({ heard, told }).toEqual({ heard: 'the end', told: undefined });
  client.destroy();
  server.close();
});

test('neither is what `ws` reads frames with', async () => {
  const endedTwice = async (stream: Writable) => {
    stream.end();
    await finished(stream);
    return new Promise<unknown>((resolve) => {
      stream.end(resolve);
      setImmediate(() => resolve('nothing'));
    });
  };
  expect(await endedTwice(new Receiver())).toBe('nothing');
  // Any other stream makes an error of it.
  expect(await endedTwice(new PassThrough().resume())).toMatchObject({ code: 'ERR_STREAM_ALREADY_FINISHED' });
});
