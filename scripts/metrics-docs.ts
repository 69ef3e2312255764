// Writes the tables of docs/metrics.md from the metrics; a unit test fails when they are not what the registry says.
import { readFileSync, writeFileSync } from 'node:fs';
import { metricsTables } from '../test/support/metrics-table.ts';

const path = new URL('../docs/metrics.md', import.meta.url);
const { own, ofNode } = await metricsTables();
const between = (name: string, table: string, text: string) =>
  text.replace(
    new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- end -->)`),
    (_all, start, end) => `${start}${table}\n${end}`,
  );
writeFileSync(path, between('own', own, between('of Node', ofNode, readFileSync(path, 'utf8'))));
