import type { LoadReport } from './jobs.ts';

/** Measures one job: its wall time, the generator's own CPU time, and how long each operation took. */
export class Timing {
  readonly #latencies: number[] = [];
  readonly #startedAt = performance.now();
  readonly #cpu = process.cpuUsage();

  /** @param startedAt as `performance.now()` said when the operation began */
  finished(startedAt: number): void {
    this.#latencies.push(performance.now() - startedAt);
  }

  report(): LoadReport {
    const { user, system } = process.cpuUsage(this.#cpu);
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    return {
      operations: sorted.length,
      wallMs: performance.now() - this.#startedAt,
      cpuUs: user + system,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
    };
  }
}

/** @param sorted ascending */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}
