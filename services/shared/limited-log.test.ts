import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { createLimitedLog } from './limited-log.ts';

function logAt(clock: { nowMs: number }, perMinute: number) {
  const lines: unknown[] = [];
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => lines.push(JSON.parse(line)) },
  );
  return { lines, write: createLimitedLog<'a' | 'b'>({ log, perMinute, nowMs: () => clock.nowMs }) };
}

describe('limited log', () => {
  it('writes the first lines of each kind in a minute, and reports how many it dropped', () => {
    const clock = { nowMs: 0 };
    const { lines, write } = logAt(clock, 2);
    for (let index = 0; index < 5; index += 1) write('a', { index }, 'refused');
    write('b', { index: 9 }, 'other');
    expect(lines).toEqual([
      { level: 30, index: 0, msg: 'refused' },
      { level: 30, index: 1, msg: 'refused' },
      { level: 30, index: 9, msg: 'other' },
    ]);
    clock.nowMs = 60_000;
    write('a', { index: 5 }, 'refused');
    write('a', { index: 6 }, 'refused');
    expect(lines.slice(3)).toEqual([
      { level: 30, index: 5, dropped: 3, msg: 'refused' },
      { level: 30, index: 6, msg: 'refused' },
    ]);
  });

  it('writes one line of a kind per subject and minute, so that a device does not hide others', () => {
    const clock = { nowMs: 0 };
    const { lines, write } = logAt(clock, 2);
    for (const who of ['x', 'x', 'x', 'y', 'z']) write('a', { who }, 'refused', who);
    expect(lines).toEqual([
      { level: 30, who: 'x', msg: 'refused' },
      { level: 30, who: 'y', dropped: 2, msg: 'refused' },
    ]);
    clock.nowMs = 60_000;
    for (const who of ['x', 'x', 'z']) write('a', { who }, 'refused', who);
    expect(lines.slice(2)).toEqual([
      { level: 30, who: 'x', dropped: 1, msg: 'refused' },
      { level: 30, who: 'z', dropped: 1, msg: 'refused' },
    ]);
  });

  it('does not write a line later than the event, however long nothing happens', () => {
    const clock = { nowMs: 0 };
    const { lines, write } = logAt(clock, 1);
    write('a', {}, 'refused');
    write('a', {}, 'refused');
    clock.nowMs = 3_600_000;
    expect(lines).toHaveLength(1);
  });
});
