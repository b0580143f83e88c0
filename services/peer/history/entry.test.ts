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

const at = (ts: unknown): unknown => ({ ...toWire(entry), ts });

describe('an entry', () => {
  test('carries its time as the Rust time crate writes it', () => {
    expect(toWire(entry).ts).toEqual([2026, 327, 22, 30, 5, 0, 0, 0, 0]);
  });

  test.each([0, 951_782_400, 951_868_799, 1_700_000_000, -1, -62_135_596_800, 253_402_300_799])(
    'survives the journey with the time %i',
    (ts) => {
      expect(fromWire(JSON.parse(JSON.stringify([toWire({ ...entry, ts })])))).toEqual([{ ...entry, ts }]);
    },
  );

  test('of another time zone is stored in UTC, without its nanoseconds', () => {
    const [read] = fromWire([at([2026, 328, 7, 30, 5, 999, 9, 0, 0])]);
    expect(read?.ts).toBe(entry.ts);
  });

  test('keeps none of the fields that only newer peers know', () => {
    expect(fromWire([{ ...toWire(entry), colour: 'red' }])).toEqual([entry]);
  });

  test.each([
    ['no object', null, 'is no object'],
    ['an empty id', { ...toWire(entry), entry_id: '' }, 'empty entry_id'],
    ['a missing command', { ...toWire(entry), cmd: undefined }, 'cmd'],
    ['a number for a text', { ...toWire(entry), shell: 1 }, 'shell'],
    ['a text too long', { ...toWire(entry), hostname: 'x'.repeat(MAX_LABEL_BYTES + 1) }, 'hostname'],
    ['half a surrogate pair', { ...toWire(entry), cmd: '\ud800' }, 'cmd'],
    ['an exit code beyond i32', { ...toWire(entry), exit_code: 2 ** 31 }, 'exit_code'],
    ['a fraction', { ...toWire(entry), duration_ms: 0.5 }, 'duration_ms'],
    ['a duration beyond what is exact', { ...toWire(entry), duration_ms: 2 ** 53 }, 'duration_ms'],
    ['a time that is text', at('2026-11-23T22:30:05Z'), 'ts'],
    ['a time too short', at([2026, 327, 22]), 'ts'],
    ['day 0', at([2026, 0, 0, 0, 0, 0, 0, 0, 0]), 'day of the year'],
    ['second 60', at([2026, 1, 0, 0, 60, 0, 0, 0, 0]), 'second'],
  ])('with %s is refused, by index and field', (_, bad, field) => {
    const batch = [toWire(entry), bad];
    expect(() => fromWire(batch)).toThrow(BadEntryError);
    expect(() => fromWire(batch)).toThrow(/^entry 1 of the batch/);
    expect(() => fromWire(batch)).toThrow(field);
  });
});
