import { type BrokerProcess, sharedStore, startBroker } from './broker-process.ts';
import { startDeployedNginx } from './deployed-nginx.ts';

/** What docker-compose.yml runs, without containers: nginx as deployed, over TLS, two HTTP nodes and two WebSocket nodes. */
export interface Stack extends AsyncDisposable {
  /** `https://localhost:<port>`, with a certificate that nobody trusts. */
  url: string;
  http: readonly BrokerProcess[];
  ws: readonly BrokerProcess[];
  /** What nginx has logged of requests. */
  accessLog(): Promise<string>;
}

export async function startStack(redisUrl: string, env: NodeJS.ProcessEnv = {}): Promise<Stack> {
  const shared = { ...sharedStore(redisUrl), TRUST_PROXY: '127.0.0.1', ...env };
  const nodes = (tier: string) => [1, 2].map(() => startBroker({ ...shared, TIERS: tier }));
  const started = new AsyncDisposableStack();
  try {
    const [http, ws] = await Promise.all([Promise.all(nodes('http')), Promise.all(nodes('ws'))]);
    for (const node of [...http, ...ws]) started.use(node);
    const portsOf = (tier: readonly BrokerProcess[]) => tier.map(({ port }) => port);
    const door = started.use(await startDeployedNginx({ http: portsOf(http), ws: portsOf(ws) }));
    return {
      url: `https://localhost:${door.port}`,
      http,
      ws,
      accessLog: door.accessLog,
      [Symbol.asyncDispose]: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
