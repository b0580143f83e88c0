import { describe, expect, test } from '@jest/globals';
import type { Shell } from './history-lines.ts';
import { summarizeTimes } from './history-times.ts';
import { type Provenance, toRecords } from './import-records.ts';
import { guessShell, readCommands } from './shell-history.ts';

const from: Provenance = {
  shell: 'bash',
  userId: 'ada',
  deviceId: 'laptop',
  hostname: 'laptop.lan',
  version: '0.1.0',
  lastUnixSeconds: 1_700_000_100,
};

const read = (shell: Shell, text: string | Buffer) => [...readCommands(shell, [Buffer.from(text)])];
const textsOf = (shell: Shell, text: string | Buffer) => read(shell, text).map(({ command }) => command);

/** The commands of a file with the times under which they are stored. */
function entriesOf(shell: Shell, text: string | Buffer, more: Partial<Provenance> = {}) {
  const commands = read(shell, text);
  const records = [...toRecords(commands, { ...from, shell, ...more }, summarizeTimes(commands, 1_000_000))];
  return records.map(({ entry }) => entry);
}

/** Each command as `TIME COMMAND`. */
const datedOf = (shell: Shell, text: string | Buffer) =>
  entriesOf(shell, text).map(({ ts, cmd }) => `${ts} ${cmd}`);

describe('readCommands', () => {
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

const T = 1_700_000_000;
const NULS = '\0'.repeat(4096);

describe('a bash file', () => {
  test('has one command per line where no line has a time, dated before its last change', () => {
    expect(datedOf('bash', '#1\nls\n#443\necho "open\n#2024\n')).toEqual([
      `${from.lastUnixSeconds - 4} #1`,
      `${from.lastUnixSeconds - 3} ls`,
      `${from.lastUnixSeconds - 2} #443`,
      `${from.lastUnixSeconds - 1} echo "open`,
      `${from.lastUnixSeconds} #2024`,
    ]);
  });

  test('has plain lines before, between and after commands with times', () => {
    const text = `a\nb\n#${T}\nc\nd\n#443\ne\n#${T + 5}\nf\ng`;
    expect(datedOf('bash', text)).toEqual([
      `${T - 2} a`,
      `${T - 1} b`,
      `${T} c`,
      `${T} d`,
      `${T} #443`,
      `${T} e`,
      `${T + 5} f`,
      `${T + 5} g`,
    ]);
  });

  test('has comments of digits also directly after a time', () => {
    expect(datedOf('bash', `#${T}\n#443\n#${T + 1}\n#-7\n#${T + 2}\nls\n`)).toEqual([
      `${T} #443`,
      `${T + 1} #-7`,
      `${T + 2} ls`,
    ]);
  });

  test('has times in milliseconds, microseconds and nanoseconds; a negative one is not known', () => {
    const text = `#${T}123\na\n#${T + 1}123456\nb\n#${T + 2}123456789\nc\n#-1700000000\nd\n#-1\ne\n`;
    expect(datedOf('bash', text)).toEqual([`${T} a`, `${T + 1} b`, `${T + 2} c`, `${T + 2} d`, `${T + 2} e`]);
  });

  test('with 150,000 plain lines has as many commands, also after a time and an open quote', () => {
    const lines = Array.from({ length: 150_000 }, (_, index) => `echo ${index}`);
    expect(read('bash', `${lines.join('\n')}\n`)).toHaveLength(150_000);
    expect(read('bash', `#${T}\nls\n${lines.join('\n')}\n`)).toHaveLength(150_001);
    expect(read('bash', `#${T}\necho "open\n${lines.join('\n')}\n`)).toHaveLength(150_001);
  });

  test('is read as bash wrote it with lithist', () => {
    // Written by bash 5.2 with `shopt -s lithist`, which adds an empty line after a here-document.
    const commands = [
      'for i in 1 2\ndo echo $i\ndone',
      "cat <<'X Y'\nit's\nX Y",
      "echo 'a\nb'",
      '#443',
      "f() {\n# don't\necho $'it\\'s'\n}",
      'case x in\na) echo;;\nesac',
    ];
    const text = commands
      .map((command) => `#${T}\n${command}\n${command.includes('<<') ? '\n' : ''}`)
      .join('');
    expect(textsOf('bash', text)).toEqual(commands);
  });

  test('has CRLF line ends, a byte order mark, invalid UTF-8 and no final line feed', () => {
    expect(datedOf('bash', `\ufeff#${T}\r\nfor i in 1\r\ndo x\r\ndone\r\n#${T + 1}\r\nls`)).toEqual([
      `${T} for i in 1\ndo x\ndone`,
      `${T + 1} ls`,
    ]);
    expect(textsOf('bash', Buffer.from([0x6c, 0x73, 0x20, 0xff, 0x0a, 0x70]))).toEqual(['ls \ufffd', 'p']);
  });

  test.each([
    ['between two lines', `#${T}\nls\n${NULS}#${T + 5}\npwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['on a line of their own', `#${T}\nls\n${NULS}\n#${T + 5}\npwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['after a command', `#${T}\nls${NULS}#${T + 5}\npwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['in a command', `#${T}\nls${NULS}pwd\n#${T + 5}\nid\n`, [`${T} ls`, `${T} pwd`, `${T + 5} id`]],
    ['after a time', `#${T}${NULS}\nls\n`, [`${T} ls`]],
    ['between a time and its command', `#${T}\n${NULS}ls\n`, [`${T} ls`]],
    ['after an open command', `#${T}\necho "${NULS}\n#${T + 5}\nls\n`, [`${T} echo "`, `${T + 5} ls`]],
    ['in an open command', `#${T}\nfor i in\n${NULS}ls\n`, [`${T} for i in`, `${T} ls`]],
    ['at the start and the end', `${NULS}#${T}\nls\n${NULS}`, [`${T} ls`]],
  ])('loses no command and no time by NUL bytes %s', (_, text, expected) => {
    expect(datedOf('bash', text)).toEqual(expected);
  });
});

describe('a zsh file', () => {
  test('has negative durations, CRLF line ends and times in other units', () => {
    const text = `: ${T}:-5;a\r\n: ${T + 1}123:2;b\r\n: ${T + 2}:0;c\\\r\nd\r\n: -5:0;e\r\n: 0:0;f`;
    expect(read('zsh', text)).toMatchObject([
      { command: 'a', unixSeconds: T, durationMs: 0 },
      { command: 'b', unixSeconds: T + 1, durationMs: 2000 },
      { command: 'c\nd', unixSeconds: T + 2 },
      { command: 'e', unixSeconds: undefined },
      { command: 'f', unixSeconds: undefined },
    ]);
  });

  test('is read as zsh wrote it', () => {
    // Written by zsh 5.9 with and without EXTENDED_HISTORY.
    expect(textsOf('zsh', `: ${T}:0;: \${FOO:=bar}; echo x\n: ${T}:0;echo end\\ \n: ${T}:0;ls\n`)).toEqual([
      ': ${FOO:=bar}; echo x',
      'echo end\\',
      'ls',
    ]);
    expect(textsOf('zsh', '\\: ${FOO:=bar}; echo x\necho end\\ \necho a\\\nb\n')).toEqual([
      ': ${FOO:=bar}; echo x',
      'echo end\\',
      'echo a\nb',
    ]);
  });

  test('has plain lines before, between and after commands with times', () => {
    expect(datedOf('zsh', `a\nb\n: ${T}:0;c\nd\n`)).toEqual([`${T - 2} a`, `${T - 1} b`, `${T} c`, `${T} d`]);
  });

  test('is also read when another program wrote it in UTF-8', () => {
    expect(textsOf('zsh', 'echo ლარი ჰ 東\n')).toEqual(['echo ლარი ჰ 東']);
    const metafied = Buffer.from('6563686f20e183a3839b20e68382b10a', 'hex');
    expect(textsOf('zsh', metafied)).toHaveLength(1);
  });

  test.each([
    ['between two lines', `: ${T}:0;ls\n${NULS}: ${T + 5}:0;pwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['after a command', `: ${T}:0;ls${NULS}: ${T + 5}:0;pwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['after a continued line', `: ${T}:0;ls\\\n${NULS}: ${T + 5}:0;pwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['in place of a line feed', `: ${T}:0;ls\\${NULS}\n: ${T + 5}:0;pwd\n`, [`${T} ls`, `${T + 5} pwd`]],
    ['after a header', `: ${T}:0;${NULS}ls\n`, [`${T} ls`]],
    ['in a header', `: ${T}:0;a\n: 17000${NULS}: ${T + 5}:0;ls\n`, [`${T} a`, `${T + 5} ls`]],
  ])('loses no command and no time by NUL bytes %s', (_, text, expected) => {
    expect(datedOf('zsh', text)).toEqual(expected);
  });
});

describe('a fish file', () => {
  test('has items without a time, and paths that look like fields', () => {
    const text = `- cmd: a\n- cmd: b\\\\n\\nc \\t\n  when: ${T}\n  paths:\n    - when: 5\n    - cmd: x\n- cmd: d\n  when: ${T + 1}000\n- cmd: e\n  when: -4\n- cmd: f`;
    expect(datedOf('fish', text)).toEqual([
      `${T - 1} a`,
      `${T} b\\n\nc \\t`,
      `${T + 1} d`,
      `${T + 1} e`,
      `${T + 1} f`,
    ]);
  });

  test.each([
    ['between two items', `- cmd: a\n  when: ${T}\n${NULS}- cmd: b\n  when: ${T + 5}\n`],
    ['after a time', `- cmd: a\n  when: ${T}${NULS}- cmd: b\n  when: ${T + 5}\n`],
    ['between a command and its time', `- cmd: a\n${NULS}  when: ${T}\n- cmd: b\n  when: ${T + 5}\n`],
    [
      'in place of a command',
      `- cmd: a\n  when: ${T}\n${NULS}\n  when: 1600000000\n- cmd: b\n  when: ${T + 5}\n`,
    ],
    ['at the end of a command', `- cmd: a${NULS}\n  when: ${T}\n- cmd: b\n  when: ${T + 5}\n`],
  ])('loses no command and no time by NUL bytes %s', (_, text) => {
    expect(datedOf('fish', text)).toEqual([`${T} a`, `${T + 5} b`]);
  });

  test('has no time that NUL bytes cut', () => {
    const text = `- cmd: a\n  when: ${T}\n- cmd: b\n  when: 1700${NULS}- cmd: c\n  when: ${T + 5}\n`;
    expect(datedOf('fish', text)).toEqual([`${T} a`, `${T} b`, `${T + 5} c`]);
  });
});

test.each(['bash', 'zsh', 'fish'] as const)('a %s file is the same in chunks of any size', (shell) => {
  const text = Buffer.from(`: ${T}:0;a\\\nb\n#${T}\nls\n${NULS}- cmd: ā\n  when: ${T}\n\npwd`);
  const whole = read(shell, text);
  for (const size of [1, 3, 7, 64]) {
    const chunks = [];
    for (let start = 0; start < text.length; start += size) chunks.push(text.subarray(start, start + size));
    expect([...readCommands(shell, chunks)]).toEqual(whole);
  }
});

test('a line above the maximum is marked, and the memory for it is bounded', () => {
  const mebibytes = Array.from({ length: 40 }, () => Buffer.alloc(1024 * 1024, 'x'));
  const chunks = [Buffer.from('ls\n'), ...mebibytes, Buffer.from('\npwd\n')];
  const commands = [...readCommands('bash', chunks)];
  expect(commands.map(({ isCut, lineNumber }) => [isCut, lineNumber])).toEqual([
    [false, 1],
    [true, 2],
    [false, 3],
  ]);
  expect(commands[1]?.command.length).toBeLessThan(20 * 1024 * 1024);
});
