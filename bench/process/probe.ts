import { writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What a measured process says of itself. CPU in microseconds since its start, all of its threads; memory in bytes. */
export interface Sample {
  cpuUs: number;
  rss: number;
  heap: number;
}

/** `collect`: as `sample`, after a full garbage collection. `profile`: until `profiled`, which writes it to a file. */
export type Question = { ask: 'sample' | 'collect' | 'profile' } | { ask: 'profiled'; file: string };

const session = new Session();

/** Preloaded into every contender with `--import`, so that all of them are measured alike and none knows of it. */
process.on('message', (question: Question) => void answer(question));
// Neither does it keep them alive, nor do they outlive whoever measures.
process.channel?.unref();
process.once('disconnect', () => process.exit(70));

async function answer(question: Question): Promise<void> {
  if (question.ask === 'collect') collectGarbage();
  if (question.ask === 'profile') {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
  }
  if (question.ask === 'profiled') {
    const { profile } = await session.post('Profiler.stop');
    session.disconnect();
    await writeFile(question.file, JSON.stringify(profile));
  }
  process.send?.(sample());
}

function sample(): Sample {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return { cpuUs: user + system, rss, heap: heapUsed };
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
}
