import { describe, expect, test } from '@jest/globals';
import { makeEntries } from '../../../testing/peer.ts';
import { type Entry, fromWire, toWire } from './entry.ts';
import { checkEntry, MAX_COMMAND_BYTES, MAX_ENTRY_JSON_BYTES, MAX_LABEL_BYTES } from './entry-rules.ts';

const [entry] = makeEntries(1) as [Entry];

describe('an entry', () => {
  test.each([
    ['the largest command', { cmd: 'x'.repeat(MAX_COMMAND_BYTES) }],
    ['the largest command in three bytes per character', { cmd: '漢'.repeat(MAX_COMMAND_BYTES / 3) }],
    ['the longest label', { hostname: 'x'.repeat(MAX_LABEL_BYTES) }],
    ['NUL and other control characters', { cmd: 'a\0b\u009B\u202E\uFFFF' }],
    ['empty texts', { cmd: '', cwd: '', shell: '', hostname: '', version: '', user_id: '', device_id: '' }],
    [
      'the lowest numbers',
      { ts: -377_705_116_800, exit_code: -(2 ** 31), duration_ms: Number.MIN_SAFE_INTEGER },
    ],
    [
      'the highest numbers',
      { ts: 253_402_300_799, exit_code: 2 ** 31 - 1, duration_ms: Number.MAX_SAFE_INTEGER },
    ],
  ])('with %s is valid', (_, fields) => {
    const valid = { ...entry, ...fields };
    expect(checkEntry(valid)).toEqual({ ok: true, entry: valid });
    expect(fromWire(JSON.parse(JSON.stringify(toWire(valid))))).toEqual({ ok: true, entry: valid });
  });

  test.each([
    ['cmd', { cmd: 'x'.repeat(MAX_COMMAND_BYTES + 1) }],
    ['cmd', { cmd: '漢'.repeat(MAX_COMMAND_BYTES / 3 + 1) }],
    ['cwd', { cwd: 'x'.repeat(MAX_COMMAND_BYTES + 1) }],
    // Each of these characters has six bytes as JSON.
    ['entry', { cmd: '\u0001'.repeat(MAX_ENTRY_JSON_BYTES / 6) }],
    ['entry', { cmd: '"'.repeat(MAX_COMMAND_BYTES), cwd: 'x' }],
    ['shell', { shell: 'x'.repeat(5_000) }],
    ['entry_id', { entry_id: '' }],
    ['device_id', { device_id: '\udc00' }],
    ['ts', { ts: 253_402_300_800 }],
    ['ts', { ts: -377_705_116_801 }],
    ['ts', { ts: 0.5 }],
    ['exit_code', { exit_code: Number.NaN }],
    ['duration_ms', { duration_ms: 2 ** 53 }],
    ['duration_ms', { duration_ms: 1n }],
    ['version', { version: null }],
    ['hostname', { hostname: ['x'] }],
  ])('is not valid because of its field %s', (field, fields) => {
    const { reason, text } = { reason: '', text: '', ...checkEntry({ ...entry, ...fields }) };
    expect(reason).toBe(field);
    expect(text).toMatch(/^The .*\.$/);
  });

  test('that is valid fits into a push of rr, even uncompressed', () => {
    const largest = { ...entry, cmd: '\u0001'.repeat(MAX_ENTRY_JSON_BYTES / 6 - 200) };
    expect(checkEntry(largest).ok).toBe(true);
    expect(JSON.stringify({ entries: [toWire(largest)] }).length).toBeLessThanOrEqual(16 * 1024 * 1024);
  });
});
