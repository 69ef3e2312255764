import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { password, repository } from '../../support/broker-process.ts';
import { startStack } from '../../support/e2e-stack.ts';
import { until } from '../../support/e2e-until.ts';
import { startRedisServer } from '../../support/redis-server.ts';

const clients = 2000;

interface Change {
  n: number;
  at: number;
  status: 'connecting' | 'connected' | 'waiting' | 'closed';
}

test('a node that is killed under 2,000 clients: all come back, each with a fresh ticket, and not all at once', async () => {
  const redis = await startRedisServer();
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => redis.dispose());
  await using stack = await startStack(redis.url, { MINT_LIMIT: '0', LOGIN_LIMIT: '0' });
  const [survivor, victim] = [stack.ws[1], stack.ws[0]];
  const token = await stack.http[0]?.token();
  const crowd = spawn(
    process.execPath,
    ['test/support/client-crowd.ts', `${stack.url.replace('https', 'wss')}/ws`, token ?? '', `${clients}`],
    {
      cwd: repository,
      // The certificate is signed by the test's own authority.
      env: { PATH: process.env['PATH'], NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const changes: Change[] = [];
  createInterface({ input: crowd.stdout }).on('line', (line) => changes.push(JSON.parse(line)));
  try {
    const connected = new Set<number>();
    let read = 0;
    const settled = () => {
      for (; read < changes.length; read++) {
        const { n, status } = changes[read] as Change;
        if (status === 'connected') connected.add(n);
        else connected.delete(n);
      }
      return connected.size === clients;
    };
    await until(settled, 'all are connected', 90);

    const killedAt = Date.now();
    const before = changes.length;
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    await until(
      () => changes.slice(before).some(({ status }) => status === 'waiting'),
      'the loss is noticed',
    );
    await until(settled, 'all are back', 90);

    const back = changes.slice(before).filter(({ status }) => status === 'connected');
    const decisions = [...stack.ws].flatMap((node) => node.decisions());
    const redeemed = decisions.filter(({ decision }) => decision === 'redeem');
    const tickets = redeemed.map(({ ticket_id }) => ticket_id);
    const perSecond = new Map<number, number>();
    for (const { at } of back) {
      const second = Math.floor((at - killedAt) / 1000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    const seconds = [...perSecond.keys()];
    // Not by whole seconds: one straggler in another would be taken for a second in which nobody came.
    const window = (Math.max(...back.map(({ at }) => at)) - killedAt) / 1000;
    const [peak, mean] = [Math.max(...perSecond.values()), back.length / window];
    console.log(
      `${back.length} of ${clients} clients lost their node and came back within ${Math.max(...back.map(({ at }) => at)) - killedAt} ms; ` +
        `a second: ${seconds
          .sort((a, b) => a - b)
          .map((second) => perSecond.get(second))
          .join(', ')}; peak ${(peak / mean).toFixed(2)} x mean`,
    );
    expect(back.length).toBeGreaterThan(clients / 4);
    expect(redeemed.filter(({ reason }) => reason !== 'ok')).toEqual([]);
    expect(new Set(tickets).size).toBe(tickets.length);
    expect(peak).toBeLessThanOrEqual(2 * mean);
    expect(survivor?.output()).not.toContain(password);
  } finally {
    crowd.kill();
    await once(crowd, 'exit');
  }
});
