import { describe, expect, test } from '@jest/globals';
import { type Entry, fromWire, toWire } from './entry.ts';
import { MAX_LABEL_BYTES } from './entry-rules.ts';

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

  test.each([
    0, 951_782_400, 951_868_799, 1_700_000_000, -1, -62_135_596_800, 253_402_300_799, -377_705_116_800,
  ])('keeps the time %i', (ts) => {
    expect(fromWire(JSON.parse(JSON.stringify(toWire({ ...entry, ts }))))).toEqual({
      ok: true,
      entry: { ...entry, ts },
    });
  });

  test('is converted to UTC without nanoseconds', () => {
    expect(fromWire(withTime([2026, 328, 7, 30, 5, 999, 9, 0, 0]))).toEqual({ ok: true, entry });
  });

  test('loses unknown fields', () => {
    expect(fromWire({ ...toWire(entry), color: 'red' })).toEqual({ ok: true, entry });
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
    ['a time before the year -9999 in UTC', withTime([-9999, 1, 0, 0, 0, 0, 1, 0, 0]), 'ts'],
    ['a time after the year 9999 in UTC', withTime([9999, 365, 23, 30, 0, 0, -1, 0, 0]), 'ts'],
  ])('with %s is not valid, and the reason names the field', (_, bad, field) => {
    expect(fromWire(bad)).toEqual({
      ok: false,
      reason: expect.any(String),
      text: expect.stringContaining(field),
    });
  });
});
