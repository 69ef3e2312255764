import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { auditFaults } from '../../../src/audit/file.ts';
import { type AuditOutput, type AuditOutputOptions, openAuditOutput } from '../../../src/audit/output.ts';
import { ConfigFault } from '../../../src/config.ts';

let folder: string;
let path: string;
let lost: number;
let logged: [level: string, text: string][];
const outputs: AuditOutput[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'));
  path = join(folder, 'audit.log');
  lost = 0;
  logged = [];
});
afterEach(() => {
  for (const output of outputs.splice(0)) output.close();
  rmSync(folder, { recursive: true });
});

function open(where = path, more: Partial<AuditOutputOptions> = {}): AuditOutput {
  const say = (level: string) => (_about: unknown, text?: string) =>
    void logged.push([level, text ?? String(_about)]);
  const output = openAuditOutput(where, {
    log: { info: say('info'), error: say('error') },
    onLost(lines) {
      lost += lines;
    },
    ...more,
  });
  outputs.push(output);
  return output;
}

describe('a file', () => {
  test('is its owner’s, is added to, and has the lines of a turn before the next one', async () => {
    open().write('one\n');
    await nextTurn();
    expect(readFileSync(path, 'utf8')).toBe('one\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    open().write('two\n');
    await nextTurn();
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
  });

  test('keeps the mode that it has', () => {
    open();
    chmodSync(path, 0o640);
    open();
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('that cannot be opened is a fault of AUDIT_LOG, without its path', () => {
    const fault = (where: string) => {
      try {
        return open(where);
      } catch (error) {
        return error;
      }
    };
    const missing = fault(join(folder, 'wst_nowhere', 'audit.log'));
    expect(missing).toBeInstanceOf(ConfigFault);
    expect(missing).toMatchObject({ faults: ['AUDIT_LOG cannot be opened (ENOENT)'] });
    expect(fault(folder)).toMatchObject({ faults: ['AUDIT_LOG cannot be opened (EISDIR)'] });
  });

  test('is looked at before it is opened, among all other faults', () => {
    const link = join(folder, 'link');
    symlinkSync(link, link);
    writeFileSync(path, '');
    for (const [where, code] of [
      [join(folder, 'wst_nowhere', 'audit.log'), 'ENOENT'],
      [folder, 'EISDIR'],
      [join(path, 'below-a-file'), 'ENOTDIR'],
      [link, 'ELOOP'],
      [join(folder, 'x'.repeat(300)), 'ENAMETOOLONG'],
    ] as const) {
      expect(auditFaults(where)).toEqual([`AUDIT_LOG cannot be opened (${code})`]);
    }
    for (const where of [undefined, 'stdout', 'stderr', path, join(folder, 'not-yet'), '/dev/full']) {
      expect(auditFaults(where)).toEqual([]);
    }
    expect(readdirSync(folder).sort()).toEqual(['audit.log', 'link']);
  });

  test('that is a pipe which nobody empties holds nobody up, and which nobody reads is a fault', async () => {
    execFileSync('mkfifo', [path]);
    expect(() => open()).toThrow('AUDIT_LOG cannot be opened (ENXIO)');
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = open();
    output.write(`${'x'.repeat(1023)}\n`.repeat(200));
    await nextTurn();
    expect(lost).toBeGreaterThan(100);
    const waited = vi.spyOn(Atomics, 'wait');
    output.write('one more\n');
    await nextTurn();
    expect(waited).not.toHaveBeenCalled();
    waited.mockRestore();
    expect(logged).toEqual([['error', 'AUDIT_LOG CANNOT BE WRITTEN: decisions go unaudited until it can']]);
    closeSync(reader);
  });

  test('that was moved away is begun anew, and loses nothing', async () => {
    const output = open();
    output.write('before\n');
    renameSync(path, `${path}.1`);
    output.write('still before\n');
    output.reopen();
    output.write('after\n');
    await nextTurn();
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('before\nstill before\n');
    expect(readFileSync(path, 'utf8')).toBe('after\n');
    expect(logged).toEqual([['info', 'AUDIT_LOG opened again']]);
  });

  test('that cannot be begun anew is gone on with', async () => {
    const output = open();
    renameSync(path, `${path}.1`);
    mkdirSync(path);
    output.reopen();
    output.write('after\n');
    await nextTurn();
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('after\n');
    expect(logged).toEqual([['error', 'AUDIT_LOG cannot be opened again: going on with the old file']]);
  });
});

describe('a full disk', () => {
  test('loses lines, says so once, and throws nothing', async () => {
    const output = open('/dev/full');
    for (const lines of ['one\ntwo\n', 'three\n']) {
      output.write(lines);
      await nextTurn();
    }
    expect(lost).toBe(3);
    expect(logged).toEqual([['error', 'AUDIT_LOG CANNOT BE WRITTEN: decisions go unaudited until it can']]);
  });

  test('cuts off one line, and none of those that come when there is room again', async () => {
    let room = 6;
    const output = open(path, {
      write(file, bytes, from) {
        if (room === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        const written = writeSync(file, bytes, from, Math.min(room, bytes.length - from));
        room -= written;
        return written;
      },
    });
    for (const [lines, more] of [
      ['one\ntwo\n', 0],
      ['three\n', 100],
      ['four\n', 0],
    ] as const) {
      output.write(lines);
      await nextTurn();
      room += more;
    }
    expect(readFileSync(path, 'utf8')).toBe('one\ntw\nfour\n');
    expect(lost).toBe(2);
    expect(logged.map(([level]) => level)).toEqual(['error', 'info']);
  });
});
