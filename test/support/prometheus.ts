import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { stop } from './proxies.ts';
import { freePort, listening } from './redis-server.ts';

export interface Prometheus extends AsyncDisposable {
  /** @param path below `/api/v1/` @throws Error for a query that it does not understand */
  ask<T>(path: string, query?: Record<string, string>): Promise<T>;
}

/** @throws Error where there is none: `npm run test:install` brings it */
export async function startPrometheus(config: object): Promise<Prometheus> {
  const started = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), 'prometheus-'));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    const port = await freePort();
    const file = join(folder, 'prometheus.yml');
    await writeFile(file, stringify(config));
    const args = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const prometheus = spawn('prometheus', args, { stdio: 'ignore' });
    started.defer(() => stop(prometheus));
    await listening(port, prometheus);
    return {
      async ask(path, query = {}) {
        const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(query)}`);
        const { data, error } = (await answer.json()) as { data: never; error?: string };
        if (error) throw new Error(error);
        return data;
      },
      [Symbol.asyncDispose]: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
