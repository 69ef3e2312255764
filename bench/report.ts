import type { Section, Table } from './section.ts';

/** A section as Markdown. */
export function sectionText({ title, text, tables, plots }: Section): string {
  return [
    `## ${title}`,
    text,
    ...tables.map(tableText),
    ...plots.map((plot) => `![${plot.title}](plots/${plot.name}.svg)`),
  ].join('\n\n');
}

export function tableText({ head, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '--:'))), ...rows.map(line)].join(
    '\n',
  );
}
