import type { FanOut } from '../load/jobs.ts';
import { origin } from '../process/product.ts';
import type { Program } from '../process/program.ts';
import type { Bench } from '../section.ts';

/** The sockets that a program holds open for us. */
export interface SocketCrowd {
  readonly live: number;
  /** @param group a name by which they can be closed together; `idle` for those that stay */
  open(group: string, count: number): Promise<void>;
  /** Milliseconds from a request on, until it is answered and until it has closed the whole group. */
  closedBy(request: string, group: string, code: number): Promise<FanOut>;
  drop(): Promise<void>;
}

/** @param targets path and query of as many handshakes of a group that are let in */
export function socketCrowd(
  { generator, sizes }: Bench,
  { port }: Program,
  targets: (group: string, count: number) => Promise<string[]>,
): SocketCrowd {
  const groups = new Map<string, number>();
  return {
    get live() {
      return [...groups.values()].reduce((sum, count) => sum + count, 0);
    },
    async open(group, count) {
      const offered = await targets(group, count);
      const { concurrency } = sizes;
      await generator.run('open', { port, targets: offered, origin, concurrency, group });
      groups.set(group, (groups.get(group) ?? 0) + count);
    },
    async closedBy(request, group, code) {
      groups.delete(group);
      return generator.run('fanOut', { port, request, group, code });
    },
    async drop() {
      groups.clear();
      await generator.run('drop', {});
    },
  };
}
