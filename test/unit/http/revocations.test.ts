import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { testApp } from '../../support/app.ts';
import { keyOf, serviceKeysFile } from '../../support/service-keys.ts';

test('the feed is not waited for by who asks for its head', async () => {
  const { app, close } = await testApp({ env: { SERVICE_KEYS_FILE: serviceKeysFile({ node: 'revoke' }) } });
  const headers = { authorization: `Bearer ${keyOf('node')}` };
  expect((await app.inject({ method: 'HEAD', url: '/revocations', headers })).statusCode).toBe(404);
  await close();
});

test('the feed ends for a key that is taken away, or may only mint from now on', async () => {
  const file = serviceKeysFile({ gone: 'revoke', demoted: 'tickets:redeem', node: 'tickets:redeem' });
  const { app, logs, close } = await testApp({ env: { SERVICE_KEYS_FILE: file } });
  await app.listen({ port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/revocations`;
  /** The name of the key once its stream has ended. */
  const follow = async (name: string) => {
    const answer = await fetch(url, { headers: { authorization: `Bearer ${keyOf(name)}` } });
    expect(answer.status).toBe(200);
    return {
      ended: answer
        .clone()
        .text()
        .then(() => name),
      beats: answer.body as ReadableStream<Uint8Array>,
    };
  };
  const [gone, demoted, node] = await Promise.all([follow('gone'), follow('demoted'), follow('node')]);
  const line = (name: string, scope: string) => `${name}:${hash('sha256', keyOf(name))}:${scope}\n`;
  writeFileSync(file, line('node', 'tickets:redeem') + line('demoted', 'tickets:mint'));
  expect(await Promise.all([gone.ended, demoted.ended])).toEqual(['gone', 'demoted']);
  // It has been asked about as often as the others, and goes on.
  const reader = node.beats.getReader();
  for (let beat = 0; beat < 4; beat++) expect(await reader.read()).toMatchObject({ done: false });
  expect(logs()).not.toContain(keyOf('gone'));
  await Promise.all([node.ended, close()]);
});
