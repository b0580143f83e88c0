import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openDatabase } from '../../history/database.ts';
import { createTestHome, type TestHome } from '../../../../testing/cli.ts';
import { cleanUp } from '../../../../testing/cleanup.ts';
import { makeEntries } from '../../../../testing/peer.ts';
import { formatEntry } from './history.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const run: TestHome['run'] = async (...args) => device.run(...args);

describe('the history', () => {
  test('has each command once when a file is imported twice', async () => {
    const file = join(device.home, '.bash_history');
    writeFileSync(file, '#1700000000\nls\n#1700000001\nexport TOKEN=1\nls\n');
    const environment = { RUSTORY_RECORD_IGNORE_REGEX: '(?i)nothing' };
    expect(JSON.parse((await run(['import', file, '--json'], environment)).stdout)).toEqual({
      shell: 'bash',
      path: file,
      commands: 3,
      imported: 3,
      skipped: 0,
      invalid: 0,
    });
    expect((await run(['import', file])).stdout).toContain('imported 0 commands, skipped 3');
  });

  test('has no command that matches record_ignore_regex', async () => {
    const environment = { RUSTORY_RECORD_IGNORE_REGEX: '(?i)token' };
    const file = join(device.home, 'history.txt');
    writeFileSync(file, 'ls\nexport TOKEN=1\n');
    expect(await run(['import', file], environment)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--shell'),
    });
    expect((await run(['import', '--shell', 'zsh', file], environment)).stdout).toContain(
      'imported 1 commands, skipped 1',
    );
    await run(['record', '--cmd', 'echo $token'], environment);
    await run(
      [
        'record',
        '--cmd',
        'make',
        '--exit-code',
        '2',
        '--cwd',
        '/src',
        '--shell',
        'zsh',
        '--duration-ms',
        '12',
      ],
      environment,
    );
    const lines = (await run(['entries', '--json'])).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toMatchObject([
      { cmd: 'ls' },
      { cmd: 'make', exit_code: 2, cwd: '/src', shell: 'zsh', duration_ms: 12 },
    ]);
    expect((await run(['entries', '--limit', '1'])).stdout).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}\S+ {2}make\n$/,
    );
  });

  test('file that cannot be read is reported with the reason', async () => {
    expect(await run(['import', '--shell', 'bash', join(device.home, 'missing')])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ENOENT'),
    });
    expect(await run(['import'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('path of a history file is given'),
    });
    expect(await run(['import', '--shell', 'tcsh'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('bash, zsh, fish'),
    });
  });

  test.each([
    ['bash', '.bash_history', '#1700000000\nls\n'],
    ['zsh', '.zsh_history', ': 1700000000:5;ls\n'],
    ['fish', '.local/share/fish/fish_history', '- cmd: ls\n  when: 1700000000\n'],
  ])(
    'of %s is found in its usual file, with its times, and adds nothing the second time',
    async (shell, name, text) => {
      mkdirSync(dirname(join(device.home, name)), { recursive: true });
      writeFileSync(join(device.home, name), text);
      expect((await run(['import', '--shell', shell])).stdout).toContain('imported 1 commands');
      expect((await run(['import', '--shell', shell])).stdout).toContain('imported 0 commands, skipped 1');
      expect(JSON.parse((await run(['entries', '--json'])).stdout)).toMatchObject({
        cmd: 'ls',
        ts: 1_700_000_000,
        shell,
      });
    },
  );

  test('is recorded by a shell hook whose variables are empty', async () => {
    const empty = ['--cwd', '', '--shell', '', '--hostname', ''];
    const { code, stdout } = await run(['record', '--cmd', 'ls', ...empty, '--print-id']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^[0-9a-f-]{36}\n$/) });
    const entry = JSON.parse((await run(['entries', '--json'])).stdout) as Record<string, unknown>;
    expect(entry).toMatchObject({ entry_id: stdout.trim(), cwd: process.cwd(), shell: 'sh' });
    expect(entry['hostname']).not.toBe('');
  });

  test('has no command that other devices could not store, and says how many', async () => {
    const file = join(device.home, 'bash_history');
    writeFileSync(file, `ls\n${'x'.repeat(9 * 1024 * 1024)}\n${'y'.repeat(9 * 1024 * 1024)}\npwd\n`);
    expect(JSON.parse((await run(['import', file, '--json'])).stdout)).toMatchObject({
      commands: 4,
      imported: 2,
      skipped: 0,
      invalid: 2,
      invalid_lines: [2, 3],
    });
    expect((await run(['import', file])).stderr).toContain(
      '2 commands are not imported, because other devices could not store them: The field cmd is larger than 8388608 bytes. They are at line 2, 3.',
    );
  });

  test.each([
    ['--shell', ['--shell', 'x'.repeat(5_000)]],
    ['--hostname', ['--hostname', 'x'.repeat(5_000)]],
    ['--cwd', ['--cwd', '"'.repeat(9 * 1024 * 1024)]],
  ])('is not recorded with a field that other devices could not store: %s', async (name, options) => {
    expect(await run(['record', '--cmd', 'ls', ...options])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(new RegExp(`not recorded, .* larger than \\d+ bytes\\.\n.*${name}`)),
    });
    expect((await run(['entries'])).stdout).toBe('');
  });

  test.each([
    [-377_705_116_800, '-009999-01-01 00:00:00'],
    [253_402_300_799, '9999-12-31 23:59:59'],
    [-1, '1969-12-31 23:59:59'],
  ])('of the time %d is printed with its whole time', (ts, text) => {
    const [entry] = makeEntries(1);
    if (entry !== undefined) expect(formatEntry({ ...entry, ts }, false)).toContain(`${text}  `);
  });

  test('that is not valid does not hide other entries, and can be deleted', async () => {
    for (const cmd of ['ls', 'pwd', 'id']) await run(['record', '--cmd', cmd]);
    const database = openDatabase(join(device.home, '.rustory', 'history.db'));
    database.sqlite.exec(
      "UPDATE entries SET duration_ms = 9223372036854775807, entry_id = 'odd' WHERE cmd = 'pwd'",
    );
    database.close();
    const { stdout, stderr } = await run(['entries']);
    expect(stdout).toMatch(/ls\n.*id\n$/);
    expect(stderr).toContain('1 entry is not valid and not shown');
    expect((await run(['delete', 'odd'])).stdout).toContain('deleted 1 entry');
    expect((await run(['entries'])).stderr).toBe('');
  });

  test('in a database that cannot be used exits with 5 and gives advice', async () => {
    const path = join(device.home, 'letter.txt');
    writeFileSync(path, 'Dear Ada, '.repeat(500));
    expect(await run(['entries', '--db-path', path])).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/set db_path to another file/i),
    });
    expect(readFileSync(path, 'utf8')).toBe('Dear Ada, '.repeat(500));
  });
});
