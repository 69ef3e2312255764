#!/usr/bin/env node
// As `websocat URL` does: lines of standard input are sent, what comes is printed, and the end of input ends it.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

const socket = new WebSocket(process.argv[2]);
socket.on('message', (data) => console.log(String(data)));
await once(socket, 'open');
for await (const line of createInterface({ input: process.stdin })) socket.send(line);
await sleep(300);
socket.close();
