import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Answers, Jobs } from '../load/jobs.ts';
import { stopChild } from './program.ts';

/** The process that makes the load, apart from whoever measures and from what is measured. */
export interface Generator {
  run<Kind extends keyof Jobs>(kind: Kind, job: Jobs[Kind]): Promise<Answers[Kind]>;
  stop(): Promise<void>;
}

export type Reply = { answer: unknown } | { fault: string };

export function startGenerator(): Generator {
  const child = fork(join(import.meta.dirname, '../load/main.ts'), { stdio: 'inherit' });
  return {
    async run(kind, job) {
      const gone = new AbortController();
      const exited = once(child, 'exit', { signal: gone.signal }).then(([code]) => {
        throw new Error(`the load generator ended with ${code}`);
      });
      exited.catch(() => {});
      child.send({ kind, job });
      const [reply] = (await Promise.race([once(child, 'message'), exited])) as [Reply];
      gone.abort();
      if ('fault' in reply) throw new Error(reply.fault);
      return reply.answer as Answers[typeof kind];
    },
    stop: () => stopChild(child),
  };
}
