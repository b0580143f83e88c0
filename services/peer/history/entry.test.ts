import { describe, expect, test } from '@jest/globals';
import { BadEntryError, type Entry, fromWire, MAX_LABEL_BYTES, toWire } from './entry.ts';

const entry: Entry = {
  entry_id: 'a4b1',
  device_id: 'laptop',
  user_id: 'ada',
  ts: Date.UTC(2026, 10, 23, 22, 30, 5) / 1000,
  cmd: 'printf "ä\\n" | wc -c',
  cwd: '/home/ada',
  exit_code: -1,
  duration_ms: 12,
  shell: 'zsh',
  hostname: 'laptop.lan',
  version: '0.1.0',
};

const withTime = (ts: unknown): unknown => ({ ...toWire(entry), ts });

describe('an entry on the wire', () => {
  test('has its time in the format of the Rust time crate', () => {
    expect(toWire(entry).ts).toEqual([2026, 327, 22, 30, 5, 0, 0, 0, 0]);
  });

  test.each([0, 951_782_400, 951_868_799, 1_700_000_000, -1, -62_135_596_800, 253_402_300_799])(
    'keeps the time %i',
    (ts) => {
      expect(fromWire(JSON.parse(JSON.stringify([toWire({ ...entry, ts })])))).toEqual([{ ...entry, ts }]);
    },
  );

  test('is converted to UTC without nanoseconds', () => {
    const [read] = fromWire([withTime([2026, 328, 7, 30, 5, 999, 9, 0, 0])]);
    expect(read?.ts).toBe(entry.ts);
  });

  test('loses unknown fields', () => {
    expect(fromWire([{ ...toWire(entry), color: 'red' }])).toEqual([entry]);
  });

  test.each([
    ['null instead of an object', null, 'not an object'],
    ['an empty id', { ...toWire(entry), entry_id: '' }, 'entry_id is empty'],
    ['a missing command', { ...toWire(entry), cmd: undefined }, 'cmd'],
    ['a number instead of text', { ...toWire(entry), shell: 1 }, 'shell'],
    ['text that is too long', { ...toWire(entry), hostname: 'x'.repeat(MAX_LABEL_BYTES + 1) }, 'hostname'],
    ['half a surrogate pair', { ...toWire(entry), cmd: '\ud800' }, 'cmd'],
    ['an exit code above 32 bits', { ...toWire(entry), exit_code: 2 ** 31 }, 'exit_code'],
    ['a fraction', { ...toWire(entry), duration_ms: 0.5 }, 'duration_ms'],
    ['a duration that is not exact in JavaScript', { ...toWire(entry), duration_ms: 2 ** 53 }, 'duration_ms'],
    ['a time as text', withTime('2026-11-23T22:30:05Z'), 'ts'],
    ['a time with too few elements', withTime([2026, 327, 22]), 'ts'],
    ['day 0', withTime([2026, 0, 0, 0, 0, 0, 0, 0, 0]), 'day of the year'],
    ['second 60', withTime([2026, 1, 0, 0, 60, 0, 0, 0, 0]), 'second'],
  ])('with %s is rejected by index and field', (_, bad, field) => {
    const batch = [toWire(entry), bad];
    expect(() => fromWire(batch)).toThrow(BadEntryError);
    expect(() => fromWire(batch)).toThrow(/^Entry 1 of the batch is not valid: /);
    expect(() => fromWire(batch)).toThrow(field);
  });
});
