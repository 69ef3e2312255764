import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BrokerProcess, password, startBroker } from '../support/broker-process.ts';
import { type Authority, startAuthority } from '../support/certificates.ts';
import { type RunOptions, runCommand, startCommand } from '../support/e2e-cli.ts';
import { type Front, startFront } from '../support/e2e-front.ts';
import { until } from '../support/e2e-until.ts';
import { keyOf, serviceKeysFile } from '../support/service-keys.ts';

let authority: Authority;
let broker: BrokerProcess;
let front: Front;
/** A door whose certificate nobody trusts unasked, as that of docker-compose is. */
beforeAll(async () => {
  authority = startAuthority();
  broker = await startBroker({ SERVICE_KEYS_FILE: serviceKeysFile({ ops: 'revoke,sessions:read' }) });
  front = await startFront({ broker: broker.port, tls: authority.issue('door', 'IP:127.0.0.1') });
});
afterAll(async () => {
  await front?.[Symbol.asyncDispose]();
  await broker?.stop();
  authority?.[Symbol.dispose]();
});

type Given = RunOptions & { stdin?: string };
const key = () => ({ env: { TICKET_BROKER_KEY: keyOf('ops') } });
const commands: [name: string, given: () => Promise<[string[], Given]>, prints: RegExp][] = [
  ['token', async () => [['alice'], { stdin: password }], /^eyJ/],
  ['ticket', async () => [['--token', await broker.token()], {}], /^wst_/],
  ['connect', async () => [['--wait', '0', (await broker.mint()).ticket], {}], /"welcome"/],
  ['sessions', async () => [['--json'], key()], /^$/],
  ['revoke', async () => [['--sub', 'nobody'], key()], /^revoked: 0 sessions/],
];

describe('against a certificate of an authority of one’s own', () => {
  test.each(commands)('%s works with --ca, and says what is wrong without', async (name, given, prints) => {
    const run = async (...more: string[]) => {
      const [args, options] = await given();
      return runCommand([name, ...args, '--url', front.url, ...more], options);
    };
    const trusting = await run('--ca', authority.certFile);
    expect(trusting).toMatchObject({ code: 0, stdout: expect.stringMatching(prints) });
    expect(await run()).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('(--url) cannot be reached: UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    });
  });

  test('connect chats with --ca, and says what is wrong without', async () => {
    const chat = async (...more: string[]) =>
      startCommand(['connect', '--room', 'lobby', '--url', front.url, ...more], {
        env: { TICKET_BROKER_TOKEN: await broker.token() },
      });
    const trusting = await chat('--ca', authority.certFile);
    await until(() => trusting.stdout().includes('-- joined lobby'), 'it has joined');
    trusting.process.stdin.end();
    expect((await trusting.ended()).code).toBe(0);

    const other = await chat();
    const why = 'not connected (no ticket: network: UNABLE_TO_VERIFY_LEAF_SIGNATURE): trying again in';
    await until(() => other.stderr().includes(why), 'it says why');
    other.process.kill();
    expect((await other.ended()).stderr).not.toMatch(/eyJ|wst_/);
  });

  test.each([
    ['/nowhere', 'It cannot be read (ENOENT)'],
    ['package.json', 'It holds no certificate'],
  ])('--ca %s is not understood', async (file, why) => {
    for (const command of [['token', 'alice'], ['doctor']]) {
      const ran = await runCommand([...command, '--url', front.url, '--ca', file]);
      expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(why) });
    }
  });
});
