import { describe, expect, test } from '@jest/globals';
import { guessShell, parseHistory, type Provenance, toEntries } from './shell-history.ts';

const from: Provenance = {
  shell: 'bash',
  userId: 'ada',
  deviceId: 'laptop',
  hostname: 'laptop.lan',
  version: '0.1.0',
  now: 1_700_000_100,
};

const read = (shell: 'bash' | 'zsh' | 'fish', text: string | Buffer) =>
  parseHistory(shell, Buffer.from(text));
const idsOf = (text: string, more: Partial<Provenance> = {}): string[] =>
  [...toEntries(read('bash', text), { ...from, ...more })].map(({ entry_id }) => entry_id);

describe('a history file', () => {
  test.each([
    ['/home/ada/.bash_history', 'bash'],
    ['.zsh_history', 'zsh'],
    ['/home/ada/.local/share/fish/fish_history', 'fish'],
    ['history.txt', undefined],
    ['/home/bash/history.txt', undefined],
  ])('named %s is of %s', (path, shell) => expect(guessShell(path)).toBe(shell));

  test('of bash is one command a line', () => {
    expect(read('bash', 'ls\n\n  cd /tmp  \n#comment\n').map(({ command }) => command)).toEqual([
      'ls',
      'cd /tmp',
      '#comment',
    ]);
  });

  test('of bash with times holds commands of several lines', () => {
    expect(read('bash', 'old\n#1700000000\nfor i in 1 2\ndo echo $i\ndone\n#1700000005\nls\n')).toEqual([
      { command: 'old', time: undefined, durationMs: 0 },
      { command: 'for i in 1 2\ndo echo $i\ndone', time: 1_700_000_000, durationMs: 0 },
      { command: 'ls', time: 1_700_000_005, durationMs: 0 },
    ]);
  });

  test('of zsh may be plain or extended, and continues lines by a backslash', () => {
    expect(read('zsh', ': 1700000000:3;sleep 3\nls; pwd\n: 1700000009:0;echo a\\\nb\n')).toEqual([
      { command: 'sleep 3', time: 1_700_000_000, durationMs: 3000 },
      { command: 'ls; pwd', time: undefined, durationMs: 0 },
      { command: 'echo a\nb', time: 1_700_000_009, durationMs: 0 },
    ]);
  });

  test('of zsh may hold bytes that zsh writes in its own way', () => {
    // «ā» is c4 81, and zsh writes 81 as 83 a1.
    const bytes = Buffer.from([...Buffer.from('echo '), 0xc4, 0x83, 0xa1, 0x0a]);
    expect(read('zsh', bytes).map(({ command }) => command)).toEqual(['echo ā']);
  });

  test('of fish has times and escapes', () => {
    const text = '- cmd: echo a\\nb \\\\n\n  when: 1700000000\n  paths:\n    - /tmp\n- cmd: ls\n';
    expect(read('fish', text)).toEqual([
      { command: 'echo a\nb \\n', time: 1_700_000_000, durationMs: 0 },
      { command: 'ls', time: undefined, durationMs: 0 },
    ]);
  });

  test.each(['bash', 'zsh', 'fish'] as const)(
    'of %s that is empty or no text has no commands or odd ones, never an error',
    (shell) => {
      expect(read(shell, '')).toEqual([]);
      expect(() => read(shell, Buffer.from([0, 0xff, 0xfe, 0x83, 0x0a, 0x83]))).not.toThrow();
    },
  );
});

describe('an imported command', () => {
  test('has the same id in every import of the file, also after more was written to it', () => {
    const before = idsOf('ls\ncd\nls\n');
    expect(new Set(before).size).toBe(3);
    expect(idsOf('ls\ncd\nls\n', { now: from.now + 500, hostname: 'renamed' })).toEqual(before);
    expect(idsOf('ls\ncd\nls\nls\n').slice(0, 3)).toEqual(before);
  });

  test('has another id on another device, for another user and from another shell', () => {
    const ids = [
      ...idsOf('ls\n'),
      ...idsOf('ls\n', { deviceId: 'desktop' }),
      ...idsOf('ls\n', { userId: 'bob' }),
      ...idsOf('ls\n', { shell: 'zsh' }),
    ];
    expect(new Set(ids).size).toBe(4);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('without a time gets one that keeps the order of the file', () => {
    const entries = [...toEntries(read('bash', 'a\nb\n#1600000000\nc\n'), from)];
    expect(entries.map(({ ts }) => ts)).toEqual([from.now - 2, from.now - 1, 1_600_000_000]);
  });
});
