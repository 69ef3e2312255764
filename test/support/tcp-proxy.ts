import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  port: number;
  /** Bytes that came back from the backend are thrown away from now on. */
  swallowReplies(): void;
  /** Nothing comes through the connections that are open any more, in either direction, and nobody is told. Later ones work. */
  goSilent(): void;
  /** Later connections go to another backend. */
  pointTo(port: number): void;
  /** Connections that are open go to another backend too, and their clients do not notice. */
  move(port: number): Promise<void>;
  /** Ends every connection, and forwards again. */
  cut(): void;
  close(): Promise<void>;
}

/** A proxy in front of a server, that does to connections what networks and middleboxes do. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  let backendPort = target;
  let swallowing = false;
  const pairs = new Map<Socket, Socket>();

  const join = (client: Socket): Socket => {
    const backend = connect(backendPort, '127.0.0.1');
    pairs.set(client, backend);
    backend.on('data', (chunk) => swallowing || client.write(chunk));
    backend.on('error', () => client.destroy());
    backend.on('close', () => pairs.get(client) === backend && client.destroy());
    return backend;
  };

  const server = createServer((client) => {
    join(client);
    client.on('data', (chunk) => pairs.get(client)?.write(chunk));
    client.on('error', () => client.destroy());
    client.on('close', () => {
      pairs.get(client)?.destroy();
      pairs.delete(client);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const proxy: TcpProxy = {
    port: (server.address() as { port: number }).port,
    swallowReplies() {
      swallowing = true;
    },
    goSilent() {
      for (const pair of pairs) for (const end of pair) end.pause();
    },
    pointTo(port) {
      backendPort = port;
    },
    async move(port) {
      backendPort = port;
      await Promise.all(
        [...pairs].map(async ([client, old]) => {
          await once(join(client), 'connect');
          old.destroy();
        }),
      );
    },
    cut() {
      for (const client of pairs.keys()) client.destroy();
      swallowing = false;
    },
    async close() {
      proxy.cut();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
