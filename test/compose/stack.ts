import { type ExecFileOptions, execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';

/** docker-compose.yml, running under a name and ports of its own. */
export interface Stack {
  /** https://127.0.0.1:… */
  url: string;
  /** Where it redirects from. */
  plainUrl: string;
  /** Where Prometheus is, once it is up. */
  prometheusUrl: string;
  /** In PEM. This process trusts it. */
  certificate: string;
  /** What an operator would write into `.env`; it may be changed. */
  env: Record<string, string>;
  /** Runs docker-compose; answers its standard output. */
  compose: (args: readonly string[], input?: string) => Promise<string>;
  /** The ids of a service's containers, or of all, dead ones too. */
  containers: (service?: string) => Promise<string[]>;
  /** The decision lines that a container has logged. */
  decisions: (container: string) => Promise<Decision[]>;
  down: () => Promise<void>;
}

export interface Decision {
  decision: string;
  granted: boolean;
  reason: string;
  ticket_id?: string;
  ip?: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds the images and starts everything. `env` is what an operator would write into `.env`. */
export async function startStack(env: Record<string, string>): Promise<Stack> {
  const project = `ticket-broker-test-${process.pid}`;
  const [plain, tls, prometheus] = await Promise.all([freePort(), freePort(), freePort()]);
  const ports = { HTTP_PORT: `${plain}`, HTTPS_PORT: `${tls}`, PROMETHEUS_PORT: `${prometheus}` };
  const settings = { ...env };
  const [command, ...first] = composeCommand();

  const compose: Stack['compose'] = (args, input) => {
    const options = { cwd: root, env: { ...process.env, ...settings, ...ports } };
    return run(command, [...first, '-p', project, ...args], options, input).then(({ stdout }) => stdout);
  };
  // Profiles that are not on are not taken down either.
  const down = () =>
    compose([
      ...['--profile', 'observability', '--profile', 'sentinel', 'down'],
      ...['--volumes', '--remove-orphans', '--rmi', 'local', '--timeout', '5'],
    ]).then(() => {});

  let certificate: string;
  try {
    await compose(['up', '-d', '--build']);
    certificate = await compose(['exec', '-T', 'lb', 'cat', '/var/lib/ticket-broker/tls/certificate.pem']);
  } catch (error) {
    await down();
    throw error;
  }
  setDefaultCACertificates([...getCACertificates('default'), certificate]);
  return {
    url: `https://127.0.0.1:${tls}`,
    plainUrl: `http://127.0.0.1:${plain}`,
    prometheusUrl: `http://127.0.0.1:${prometheus}`,
    certificate,
    env: settings,
    compose,
    async containers(service) {
      const labels = [`project=${project}`, ...(service ? [`service=${service}`] : [])];
      const filters = labels.flatMap((label) => ['--filter', `label=com.docker.compose.${label}`]);
      return lines(await docker('ps', '--all', '--quiet', '--no-trunc', ...filters)).sort();
    },
    async decisions(container) {
      return lines(await docker('logs', container))
        .filter((line) => line.startsWith('{') && line.includes('"decision"'))
        .map((line) => JSON.parse(line) as Decision);
    },
    down,
  };
}

/** Tries again, for as long as a node may take to start and the balancer to find it. */
export async function eventually(check: () => Promise<void>, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(250);
    }
  }
}

/** Answers standard output. */
export async function docker(...args: string[]): Promise<string> {
  return (await run('docker', args)).stdout;
}

function composeCommand(): [string, ...string[]] {
  return spawnSync('docker-compose', ['version']).status === 0 ? ['docker-compose'] : ['docker', 'compose'];
}

function run(
  command: string,
  args: readonly string[],
  options: ExecFileOptions = {},
  input = '',
): Promise<{ stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { ...options, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 },
      (error, stdout, stderr) =>
        error ? reject(new Error(`${error.message}\n${stderr}`)) : resolve({ stdout }),
    );
    // A command that reads nothing may be over by now; how it went, its exit status tells.
    child.stdin?.on('error', () => {}).end(input);
  });
}

function lines(text: string): string[] {
  return text.split('\n').filter(Boolean);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
