import { describe, expect, test } from '@jest/globals';
import { createTestOutput } from '../../../testing/cli.ts';
import {
  createScreen,
  formatAge,
  formatAmount,
  formatBytes,
  formatDuration,
  formatTable,
  shortenPeerIds,
  wrap,
} from './screen.ts';

function createTestScreen(isTTY: boolean, useColor = true) {
  const [stdout, stderr] = [createTestOutput(isTTY, 20), createTestOutput(isTTY, 20)];
  const time = { nowMs: 0 };
  return {
    screen: createScreen({ stdout, stderr, useColor, nowMs: () => time.nowMs }),
    stdout,
    stderr,
    time,
  };
}

describe('progress', () => {
  test('rewrites one line on a terminal, cut to its width, and erases it at the end', () => {
    const { screen, stderr, time } = createTestScreen(true);
    screen.progress('1,000 entries');
    time.nowMs += 200;
    screen.progress('12,000 entries, much too long a line');
    screen.note('done');
    expect(stderr.text()).toBe('\r\u001B[2K1,000 entries\r\u001B[2K12,000 entries, muc\r\u001B[2Kdone\n');
  });

  test('is a plain line every two seconds without a terminal, and absent for short work', () => {
    const { screen, stderr, time } = createTestScreen(false);
    for (const entries of [1, 2, 3, 4, 5]) {
      time.nowMs += 900;
      screen.progress(`${entries} entries`);
    }
    expect(stderr.text()).toBe('3 entries\n');
  });
});

test('colors are used on a terminal that allows them', async () => {
  for (const [isTTY, useColor, text] of [
    [true, true, '\u001B[31mno\u001B[0m more\n'],
    [true, false, 'no more\n'],
    [false, true, 'no more\n'],
  ] as const) {
    const { screen, stdout } = createTestScreen(isTTY, useColor);
    await screen.out('no more', 'red', 2);
    expect(stdout.text()).toBe(text);
  }
});

test('text from others cannot control the terminal', async () => {
  const text = 'ls\u001B[2J\n\u009B1m\u202Eä\tb\r\u200B';
  const shown = 'ls\uFFFD[2J⏎\uFFFD1m\uFFFDä b\uFFFD\uFFFD';
  const { screen, stdout, stderr, time } = createTestScreen(true);
  await screen.out(text);
  await screen.out([text, 'next'], 'bold', 1);
  expect(stdout.text()).toBe(`${shown}\n\u001B[1ml\u001B[0m${shown.slice(1)}\n\u001B[1mn\u001B[0mext\n`);
  screen.note(text);
  time.nowMs += 200;
  screen.progress(text);
  expect(stderr.text()).toBe(`${shown}\n\r\u001B[2K${shown}`);
});

test('values are exact in JSON, whose lines cannot control the terminal', async () => {
  const values = ['ls\u001B[2J\n', { a: '\u009B1m\u202E\u{E0041}\u2028' }];
  const { screen, stdout } = createTestScreen(true);
  await screen.json(...values);
  expect(stdout.text()).not.toMatch(/[^\n\x20-\x7E]/);
  expect(
    stdout
      .text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(values);
});

test('results go to standard output and notes to standard error', async () => {
  const { screen, stdout, stderr } = createTestScreen(false);
  await screen.out('result');
  screen.note('remark');
  expect([stdout.text(), stderr.text()]).toEqual(['result\n', 'remark\n']);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [3_140_000, '3.1 MB'],
  [72_208, '72 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [2_500_000_000, '2.5 GB'],
])('%i bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [850, '850 ms'],
  [4_210, '4.2 s'],
  [185_000, '3 min 5 s'],
])('%i milliseconds are %s', (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));

test.each([
  [-3, '0 s'],
  [5, '5 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7_199, '119 min'],
  [10_000, '2 h'],
  [400_000, '4 days'],
])('%i seconds ago are %s', (seconds, text) => expect(formatAge(seconds)).toBe(text));

test('an amount has the singular or the plural', () => {
  expect([formatAmount(1, 'entry', 'entries'), formatAmount(12_000, 'entry', 'entries')]).toEqual([
    '1 entry',
    '12,000 entries',
  ]);
});

test('a table has aligned columns and no spaces at the end', () => {
  expect(formatTable(['A', 'LONG'], [['1234', 'x']])).toEqual(['A     LONG', '1234  x']);
});

test('a long text is broken at spaces and indented', () => {
  expect(wrap('no reservation on this relay', 16, '  ', '    ')).toEqual([
    '  no reservation',
    '    on this',
    '    relay',
  ]);
});

test('peer ids are cut to their last eight characters', () => {
  expect(shortenPeerIds('/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x/p2p-circuit')).toBe(
    '/p2p/…uRXA2U9x/p2p-circuit',
  );
});
