import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { claimToArguments, recordFromText, recordToText } from '../../../src/store/record-text.ts';
import type { Json, TicketRecord } from '../../../src/tickets/record.ts';
import { aRecord } from '../../support/records.ts';

/** What the mint script puts before a record, and what it stores. */
const stored = (record: TicketRecord) =>
  `1 ${'0123456789'.repeat(4)} 1700000000000 1700000030000${recordToText(record)}`;

const anything = fc.string({ unit: 'binary' });
const name = anything.filter((text) => text !== '' && !text.includes('\n'));
const room = name.filter((text) => !text.includes('\t'));
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });

const records: fc.Arbitrary<TicketRecord> = fc
  .record({
    sub: name,
    username: anything,
    rooms: optional(fc.array(room)),
    // As it arrives: parsed from JSON, which knows neither undefined nor -0.
    context: optional(fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json)),
    aud: optional(name),
    origin: optional(name),
    ip: optional(name),
    minted_by: optional(name),
    auth_time: fc
      .double({ min: 0, max: 4e9, noNaN: true })
      .map((seconds) => Math.floor(seconds * 1000) / 1000),
    session_ttl: fc.nat(),
  })
  .map((fields) => {
    const given = Object.entries(fields).filter(([, value]) => value !== undefined);
    return Object.fromEntries(given) as unknown as TicketRecord;
  });

describe('a record as text', () => {
  test('comes back as it was, whatever it holds', () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(recordFromText(stored(record))).toStrictEqual(record);
      }),
      { numRuns: 1000 },
    );
  });

  test('has its fields where the scripts look for them', () => {
    fc.assert(
      fc.property(records, (record) => {
        const [, aud, origin, ip, rooms, sub, mintedBy] = stored(record).split('\n');
        const { aud: a = '', origin: o = '', ip: i = '', minted_by: m = '' } = record;
        expect([aud, origin, ip, sub, mintedBy]).toEqual([a, o, i, record.sub, m]);
        expect(rooms).toBe(record.rooms ? `\t${record.rooms.map((each) => `${each}\t`).join('')}` : '');
      }),
    );
  });

  test('keeps any rooms, no rooms and one room apart', () => {
    const lines = [undefined, [], ['lobby']].map((rooms) => recordToText(aRecord(rooms ? { rooms } : {})));
    expect(lines.map((line) => line.split('\n')[4])).toEqual(['', '\t', '\tlobby\t']);
  });

  test.each(['aud', 'origin', 'ip', 'sub', 'minted_by'] as const)(
    'a line break in %s cannot forge the fields after it',
    (field) => {
      fc.assert(
        fc.property(records, anything, anything, (record, before, after) => {
          expect(() => recordToText({ ...record, [field]: `${before}\n${after}` })).toThrow(TypeError);
        }),
      );
    },
  );

  test('a line break or a tab in a room cannot forge a field or another room', () => {
    fc.assert(
      fc.property(
        records,
        anything,
        fc.constantFrom('\n', '\t'),
        anything,
        (record, before, breaker, after) => {
          expect(() => recordToText({ ...record, rooms: ['lobby', before + breaker + after] })).toThrow(
            TypeError,
          );
        },
      ),
    );
  });

  test('what is wrong is said without the value', () => {
    expect(() => recordToText(aRecord({ sub: 'secret\nname' }))).toThrow(/^(?!.*secret)/);
    expect(() => recordToText(aRecord({ rooms: ['secret\troom'] }))).toThrow(/^(?!.*secret)/);
  });

  test('a line break in the name or the context stays where it is', () => {
    const record = aRecord({ username: 'Al\nice\t', context: { '\n': ['\r\n\t', '\u2028'] } });
    expect(recordToText(record).split('\n')).toHaveLength(8);
    expect(recordFromText(stored(record))).toStrictEqual(record);
  });
});

describe('a claim as arguments', () => {
  test('an absent check is empty, and an empty list of addresses is not absent', () => {
    expect(claimToArguments({ sessionId: 's' })).toEqual(['s', '', '', '', '', '', '']);
    expect(claimToArguments({ sessionId: 's', addresses: [] })).not.toContain(undefined);
    expect(claimToArguments({ sessionId: 's', addresses: [] })[3]).not.toBe('');
  });

  test('addresses stand between line breaks, so that none is found within another', () => {
    const [, aud, origin, addresses, room] = claimToArguments({
      sessionId: 's',
      aud: 'chat',
      origin: 'https://a.example',
      addresses: ['192.0.2.1', '192.0.2.0/24'],
      room: 'lobby',
    });
    expect([aud, origin, room]).toEqual(['chat', 'https://a.example', 'lobby']);
    expect(addresses).toBe('\n192.0.2.1\n192.0.2.0/24\n');
  });
});

test('who may ask again is kept as a digest: they choose the name, and may choose the ticket', () => {
  const ticket = `wst_${'A'.repeat(43)}`;
  const args = (asker: string) => claimToArguments({ sessionId: 's', repeat: { asker, withinMs: 1000 } });
  expect(args(ticket).join()).not.toContain(ticket);
  expect(args(ticket)).toEqual(args(ticket));
  expect(args(ticket)).not.toEqual(args(`${ticket}\n`));
});
