import { describe, expect, test } from '@jest/globals';
import type { Shell } from './history-lines.ts';
import { summarizeTimes } from './history-times.ts';
import { type Provenance, toRecords } from './import-records.ts';
import { readCommands } from './shell-history.ts';

const from: Provenance = {
  shell: 'bash',
  userId: 'ada',
  deviceId: 'laptop',
  hostname: 'laptop.lan',
  version: '0.1.0',
  lastUnixSeconds: 1_700_000_100,
};

function recordsOf(text: string, more: Partial<Provenance> = {}) {
  const shell: Shell = more.shell ?? from.shell;
  const commands = [...readCommands(shell, [Buffer.from(text)])];
  return [...toRecords(commands, { ...from, ...more }, summarizeTimes(commands, 1_000))];
}

const repetitionIdsOf = (text: string, more: Partial<Provenance> = {}): string[] =>
  recordsOf(text, more).map(({ repetitionId }) => repetitionId);

describe('the id by repetition', () => {
  test('assigns the same id to a command in each import of the file, also when the file has grown', () => {
    const before = repetitionIdsOf('ls\ncd\nls\n');
    expect(new Set(before).size).toBe(3);
    expect(
      repetitionIdsOf('ls\ncd\nls\n', {
        lastUnixSeconds: from.lastUnixSeconds + 500,
        hostname: 'renamed',
      }),
    ).toEqual(before);
    expect(repetitionIdsOf('ls\ncd\nls\nls\n').slice(0, 3)).toEqual(before);
  });

  test('assigns a different id to a command of another device, user or shell', () => {
    const ids = [
      ...repetitionIdsOf('ls\n'),
      ...repetitionIdsOf('ls\n', { deviceId: 'desktop' }),
      ...repetitionIdsOf('ls\n', { userId: 'bob' }),
      ...repetitionIdsOf('ls\n', { shell: 'zsh' }),
    ];
    expect(new Set(ids).size).toBe(4);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

test('a command that is ignored counts for the times of the others', () => {
  const records = recordsOf('a\nsecret\nb\n', { isIgnored: (command) => command === 'secret' });
  expect(records.map(({ entry }) => [entry.cmd, entry.ts])).toEqual([
    ['a', from.lastUnixSeconds - 2],
    ['b', from.lastUnixSeconds],
  ]);
});

test('a file with more commands than the maximum is refused', () => {
  const commands = readCommands('bash', [Buffer.from('a\nb\nc\n')]);
  expect(() => summarizeTimes(commands, 2)).toThrow('more than 2 commands');
});
