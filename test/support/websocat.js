#!/usr/bin/env node
// As `websocat URL` does: lines of standard input are sent, what comes is printed, and the end of input ends it, once there has
// been a message for the beginning and one for each line, however slow the machine.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

const socket = new WebSocket(process.argv[2]);
let heard = 0;
socket.on('message', (data) => {
  heard++;
  console.log(String(data));
});
await once(socket, 'open');
let due = 1;
for await (const line of createInterface({ input: process.stdin })) {
  socket.send(line);
  due++;
}
for (const late = Date.now() + 20_000; heard < due && Date.now() < late; ) await sleep(20);
await sleep(300);
socket.close();
