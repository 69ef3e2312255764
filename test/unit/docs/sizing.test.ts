import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const sizing = read('docs/sizing.md');
const results = read('bench/RESULTS.md');
const cost = (row: string) => {
  const found = sizing.split('\n').find((line) => line.startsWith(`| ${row}`));
  return Number(/\| ([\d.]+) (?:µs|KiB|bytes|ms|MiB)/.exec(found ?? '')?.[1]);
};
const measured = (row: RegExp) => Number(row.exec(results)?.[1]?.replaceAll(',', ''));

test.each([
  ['client that comes back', /CPU of brokers for one, µs \| measured above \| ([\d.]+)/],
  ['the same, in Redis', /CPU of Redis for one, µs \| measured above \| ([\d.]+)/],
  ['of that, a mint', /product, token known \| ([\d.]+)/],
  ['idle socket', /KiB of the process an idle socket \| [\d.]+ \| ([\d.]+)/],
  ['of that, on JavaScript', /\| product \| 19,500 \| [\d.]+ \| ([\d.]+)/],
  ['live session in Redis', /\| product \| 19,500 \| [\d.]+ \| [\d.]+ \| ([\d.]+)/],
  ['outstanding ticket', /bytes an outstanding ticket \| \d+ \| (\d+)/],
  ['tombstone', /\| tombstone \| (\d+)/],
  ['login with a password', /server, ms of CPU.*\n.*\n\| product \| ([\d.]+)/],
] as const)('reckons with what was measured, about: %s', (row, inResults) => {
  // Another run has other numbers, by the noise of its machine; a change of the product is more.
  expect(cost(row) / measured(inResults)).toBeGreaterThan(1 / 1.5);
  expect(cost(row) / measured(inResults)).toBeLessThan(1.5);
});

test.each([10_000, 100_000, 1_000_000])('reckons right for %d sockets', (sockets) => {
  const perSecond = sockets / 60;
  const brokers = (perSecond * cost('client that comes back')) / 1e6;
  const redis = (perSecond * cost('the same, in Redis')) / 1e6;
  const gib = (kib: number) => `${((sockets * kib) / 1024 ** 2).toFixed(2)} GiB`;
  const row = [
    sockets.toLocaleString('en'),
    Math.round(perSecond).toLocaleString('en'),
    brokers.toFixed(2),
    Math.ceil(brokers / 0.7),
    redis.toFixed(2),
    Math.ceil(redis / 0.7),
    gib(cost('idle socket')),
    gib(cost('live session in Redis')),
  ];
  expect(sizing).toContain(`\n| ${row.join(' | ')} |\n`);
});

test('what is deployed says the same of its memory', () => {
  const [, compose] =
    /MiB, and ([\d.]+) KiB for each idle socket \(docs\/sizing\.md\)/.exec(read('docker-compose.yml')) ?? [];
  expect(Number(compose)).toBe(cost('idle socket'));
  const [, sockets, memory] =
    /Enough for some ([\d,]+) idle sockets.*\n.*memory: (\d)Gi/.exec(read('deploy/kubernetes/ws.yaml')) ?? [];
  expect(sizing).toContain(`${sockets} for ${memory} GiB`);
});
