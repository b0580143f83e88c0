import { describe, expect, test } from '@jest/globals';
import { guessShell, parseHistory, type Provenance, toRecords } from './shell-history.ts';

const from: Provenance = {
  shell: 'bash',
  userId: 'ada',
  deviceId: 'laptop',
  hostname: 'laptop.lan',
  version: '0.1.0',
  importUnixSeconds: 1_700_000_100,
};

const read = (shell: 'bash' | 'zsh' | 'fish', text: string | Buffer) =>
  parseHistory(shell, Buffer.from(text));
const repetitionIdsOf = (text: string, more: Partial<Provenance> = {}): string[] =>
  [...toRecords(read('bash', text), { ...from, ...more })].map(({ repetitionId }) => repetitionId);

describe('parseHistory', () => {
  test.each([
    ['/home/ada/.bash_history', 'bash'],
    ['.zsh_history', 'zsh'],
    ['/home/ada/.local/share/fish/fish_history', 'fish'],
    ['history.txt', undefined],
    ['/home/bash/history.txt', undefined],
  ])('guessShell of %s is %s', (path, shell) => expect(guessShell(path)).toBe(shell));

  test('parses one command per line of a bash file', () => {
    expect(read('bash', 'ls\n\n  cd /tmp  \n#comment\n').map(({ command }) => command)).toEqual([
      'ls',
      'cd /tmp',
      '#comment',
    ]);
  });

  test('parses commands of several lines in a bash file with times', () => {
    expect(read('bash', 'old\n#1700000000\nfor i in 1 2\ndo echo $i\ndone\n#1700000005\nls\n')).toMatchObject(
      [
        { command: 'old', unixSeconds: undefined, durationMs: 0 },
        { command: 'for i in 1 2\ndo echo $i\ndone', unixSeconds: 1_700_000_000, durationMs: 0 },
        { command: 'ls', unixSeconds: 1_700_000_005, durationMs: 0 },
      ],
    );
  });

  test('parses plain, extended and continued lines of a zsh file', () => {
    expect(read('zsh', ': 1700000000:3;sleep 3\nls; pwd\n: 1700000009:0;echo a\\\nb\n')).toMatchObject([
      { command: 'sleep 3', unixSeconds: 1_700_000_000, durationMs: 3000 },
      { command: 'ls; pwd', unixSeconds: undefined, durationMs: 0 },
      { command: 'echo a\nb', unixSeconds: 1_700_000_009, durationMs: 0 },
    ]);
  });

  test('decodes the metafied bytes of a zsh file', () => {
    // `ā` is c4 81, and zsh writes 81 as 83 a1.
    const bytes = Buffer.from([...Buffer.from('echo '), 0xc4, 0x83, 0xa1, 0x0a]);
    expect(read('zsh', bytes).map(({ command }) => command)).toEqual(['echo ā']);
  });

  test('parses times and escape sequences of a fish file', () => {
    const text = '- cmd: echo a\\nb \\\\n\n  when: 1700000000\n  paths:\n    - /tmp\n- cmd: ls\n';
    expect(read('fish', text)).toMatchObject([
      { command: 'echo a\nb \\n', unixSeconds: 1_700_000_000, durationMs: 0 },
      { command: 'ls', unixSeconds: undefined, durationMs: 0 },
    ]);
  });

  test.each(['bash', 'zsh', 'fish'] as const)(
    'parses an empty or binary %s file without an error',
    (shell) => {
      expect(read(shell, '')).toEqual([]);
      expect(() => read(shell, Buffer.from([0, 0xff, 0xfe, 0x83, 0x0a, 0x83]))).not.toThrow();
    },
  );
});

describe('the id by repetition', () => {
  test('assigns the same id to a command in each import of the file, also when the file has grown', () => {
    const before = repetitionIdsOf('ls\ncd\nls\n');
    expect(new Set(before).size).toBe(3);
    expect(
      repetitionIdsOf('ls\ncd\nls\n', {
        importUnixSeconds: from.importUnixSeconds + 500,
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

  test('assigns times in the order of the file to commands without a time', () => {
    const records = [...toRecords(read('bash', 'a\nb\n#1600000000\nc\n'), from)];
    expect(records.map(({ entry }) => entry.ts)).toEqual([
      from.importUnixSeconds - 2,
      from.importUnixSeconds - 1,
      1_600_000_000,
    ]);
  });
});
