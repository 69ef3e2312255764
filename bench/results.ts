import { mkdir, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { plotSvg } from './plots.ts';
import { sectionText, tableText } from './report.ts';
import type { Section } from './section.ts';
import { targetTable } from './targets.ts';

const here = new URL('.', import.meta.url);

/** Writes RESULTS.md and its plots, in place of those of the run before. */
export async function writeResults(sections: readonly Section[], figures: Section['figures']): Promise<void> {
  const plots = new URL('plots/', here);
  await rm(plots, { recursive: true, force: true });
  await mkdir(plots);
  for (const plot of sections.flatMap((section) => section.plots)) {
    await writeFile(new URL(`${plot.name}.svg`, plots), plotSvg(plot));
  }
  const text = [
    '# Results',
    `One run of \`npm run bench\` on ${cpus().length} cores (${cpus()[0]?.model}), Node ${process.versions.node}: median (range) of the rounds, which take turns. Compare within a table; another machine has other numbers.`,
    '## What was aimed at',
    tableText(targetTable(figures)),
    ...sections.map(sectionText),
  ];
  await writeFile(new URL('RESULTS.md', here), `${text.join('\n\n')}\n`);
}
