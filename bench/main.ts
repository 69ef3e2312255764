import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { startGenerator } from './process/generator.ts';
import { sectionText, tableText } from './report.ts';
import { writeResults } from './results.ts';
import type { Bench, Section } from './section.ts';
import { full, quick } from './sizes.ts';
import { targetTable } from './targets.ts';
import { topics } from './topics.ts';

interface Options {
  quick: boolean;
  write: boolean;
  only: string[];
  profile?: string;
}

const program = new Command('npm run bench --')
  .description('Measures the product beside what else a user would pick, and beside the limit.')
  .option('--quick', 'tiny sizes: shows that everything works, its numbers mean nothing', false)
  .option('--only <topics>', `some of: ${Object.keys(topics).join(',')}`, topicList, Object.keys(topics))
  .option('--write', 'write bench/RESULTS.md and its plots, as a run of everything does', false)
  .option('--profile <folder>', 'also write a .cpuprofile of every window, the last round staying')
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function run(options: Options): Promise<void> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'ticket-broker-bench-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const generator = startGenerator();
  started.defer(() => generator.stop());
  const profiles = options.profile && resolve(options.profile);
  if (profiles) await mkdir(profiles, { recursive: true });

  const bench: Bench = {
    sizes: options.quick ? quick : full,
    generator,
    folder,
    profiles,
    progress: (text) => console.error(text),
    figures: {},
  };
  const sections: Section[] = [];
  for (const topic of options.only) {
    const section = await topics[topic]?.(bench);
    if (!section) continue;
    sections.push(section);
    Object.assign(bench.figures, section.figures);
    console.log(`\n${sectionText(section)}\n`);
  }
  console.log(tableText(targetTable(bench.figures)));
  const everything = sections.length === Object.keys(topics).length && !options.quick;
  if (options.write || everything) await writeResults(sections, bench.figures);
}

function topicList(text: string): string[] {
  const names = text.split(',');
  const unknown = names.find((name) => !Object.hasOwn(topics, name));
  if (unknown !== undefined) throw new InvalidArgumentError(`there is no topic ${unknown}`);
  return names;
}
