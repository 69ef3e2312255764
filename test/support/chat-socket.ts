import { once } from 'node:events';
import { WebSocket } from 'ws';
import { until } from './e2e-until.ts';

export type ChatMessage = { type: string } & Record<string, unknown>;

/** A socket that keeps all it hears. */
export interface ChatSocket {
  socket: WebSocket;
  heard: ChatMessage[];
  say(message: object | string): void;
  /** The first message of a type, also one that has come already; it is taken out. */
  next(type: string): Promise<ChatMessage>;
  /** The close code and reason. */
  closed: Promise<[code: number, reason: string]>;
}

/** Opens a socket and waits for its welcome. */
export async function openChat(url: string): Promise<ChatSocket> {
  const socket = new WebSocket(url);
  const heard: ChatMessage[] = [];
  socket.on('message', (data) => heard.push(JSON.parse(String(data))));
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)] as [number, string]);
  const chat: ChatSocket = {
    socket,
    heard,
    say: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async next(type) {
      await until(() => heard.some((message) => message.type === type), `${type} is heard`, 10);
      const index = heard.findIndex((message) => message.type === type);
      return heard.splice(index, 1)[0] as ChatMessage;
    },
    closed,
  };
  await chat.next('welcome');
  return chat;
}
