import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { runCommand } from '../support/e2e-cli.ts';

type Answer = (response: ServerResponse) => void;

/** Runs a command against what is no broker. */
const runAt = async (answer: Answer, ...args: string[]) => {
  const server = createServer((_request, response) => answer(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ran = await runCommand([...args, '--url', origin], { stdin: 'secret' });
  server.close();
  return { ...ran, stderr: ran.stderr.replace(`ticket-broker: ${origin} (--url) `, '') };
};
const failing = (status: number) => ({
  code: 1,
  stdout: '',
  stderr: `answered ${status}, and not as a broker\n`,
});

/** What a portal, or a page for every path, says to everything. */
const page: Answer = (response) => void response.setHeader('content-type', 'text/html').end('<h1>Hi</h1>');

test.each(['token alice', 'ticket', 'revoke --sub alice', 'sessions', 'connect --login alice'])(
  '`%s` fails where a page answers 200 in the place of the broker',
  async (command) => {
    expect(await runAt(page, ...command.split(' '))).toEqual(failing(200));
  },
);

test.each<[string, number, Answer]>([
  ['JSON of another service', 200, (response) => void response.end('{"status":"ok"}')],
  ['null', 200, (response) => void response.end('null')],
  ['nothing', 204, (response) => void response.writeHead(204).end()],
  ['errors of its own form', 403, (response) => void response.writeHead(403).end('{"error":{"code":7}}')],
])('and nothing is revoked by %s', async (_what, status, answer) => {
  expect(await runAt(answer, 'revoke', '--sub', 'alice')).toEqual(failing(status));
});

test('what is sent goes nowhere else, though it is told to', async () => {
  const got: string[] = [];
  const elsewhere = createServer((request, response) => {
    got.push(String(request.url));
    response.end('{}');
  }).listen(0, '127.0.0.2');
  await once(elsewhere, 'listening');
  const { port } = elsewhere.address() as AddressInfo;
  const redirect: Answer = (response) =>
    void response.writeHead(307, { location: `http://127.0.0.2:${port}/` }).end();
  for (const command of ['token alice', 'ticket', 'revoke --sub alice']) {
    expect(await runAt(redirect, ...command.split(' '))).toEqual(failing(307));
  }
  expect(got).toEqual([]);
  elsewhere.close();
});
