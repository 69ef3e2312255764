import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AuditLine } from '../../../src/audit/line.ts';
import { auditLines } from '../../support/audit.ts';

describe('docs/audit.md', () => {
  const document = readFileSync('docs/audit.md', 'utf8');
  const examples = auditLines(
    [...document.matchAll(/```json\n(.*?)```/gs)].map(([, block]) => block).join(''),
  );

  test('has an example of every event', () => {
    const events = AuditLine.anyOf.map(({ properties }) => properties.event.const);
    expect(new Set(examples.map(({ event }) => event))).toEqual(new Set(events));
    for (const event of events) expect(document).toContain(`\`${event}\`:`);
  });

  test('names every field', () => {
    const fields = new Set(AuditLine.anyOf.flatMap(({ properties }) => Object.keys(properties)));
    const unnamed = [...fields].filter((field) => !new RegExp(`[\`"]${field}[\`"]`).test(document));
    expect(unnamed).toEqual([]);
  });
});

test.each([
  ['a field of another event', { password: 'x' }],
  ['an unknown way in', { via: 'window' }],
  ['a time that is none', { time: 'yesterday' }],
])('a line with %s is none', (_what, change) => {
  const line = {
    time: '2026-03-01T09:00:01.377Z',
    event: 'redeem',
    node: 'ws-1',
    ip: '192.0.2.1',
    via: 'ws',
    granted: false,
    reason: 'malformed',
  };
  expect(auditLines(JSON.stringify(line))).toEqual([line]);
  expect(() => auditLines(JSON.stringify({ ...line, ...change }))).toThrow('not a line');
});
