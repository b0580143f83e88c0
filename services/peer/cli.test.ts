import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from './cli.testing.ts';
import { EXIT_CODES } from './exit.ts';
import { cleanUp } from './testing.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const run: TestHome['run'] = async (...args) => device.run(...args);
const inConfig = (name: string): string => device.inConfig(name);
const COMMANDS = [
  'init',
  'import',
  'record',
  'entries',
  'serve',
  'sync',
  'daemon',
  'peers',
  'sync-status',
  'swarm-key',
  'doctor',
];

describe('help', () => {
  test('names every command and every exit code', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(stdout).toContain(`\n  ${command} `);
    for (const exit of [0, 1, 2, 3, 4, 5, 78]) expect(stdout).toMatch(new RegExp(`^  ${exit} +\\w`, 'm'));
  });

  test.each([...COMMANDS, 'settings'])('of %s fits into 80 columns and has an example', async (command) => {
    const { code, stdout } = await run([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('rustory-peer');
    const longest = Math.max(...stdout.split('\n').map((line) => line.replaceAll(device.home, '~').length));
    expect(longest).toBeLessThanOrEqual(80);
    expect(await run(['help', command])).toMatchObject({ code: 0, stdout });
  });

  test('says the same as docs/peer.md: every command and every exit code', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/peer.md'), 'utf8');
    for (const command of COMMANDS) expect(page).toMatch(new RegExp(`^\\| \`${command}[ \`]`, 'm'));
    for (const { code, meaning } of Object.values(EXIT_CODES))
      expect(page).toContain(`| ${code} | ${meaning} |`);
  });

  test('is where a wrong command line points to', async () => {
    expect(await run([])).toMatchObject({ code: 2, stderr: expect.stringContaining('rustory-peer --help') });
    expect(await run(['snyc'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no command "snyc"'),
    });
    expect(await run(['sync', '--fast'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('rustory-peer sync --help'),
    });
    expect(await run(['entries', 'all'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('unexpected argument "all"'),
    });
    expect(await run(['entries', '--limit', 'many'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--limit must be a whole number'),
    });
  });
});

describe('init', () => {
  test('makes configuration and keys, for the owner only, and a file that works', async () => {
    const { code, stdout } = await run(
      ['init', '--trackers', 'http://tracker.lan:8850', '--user-id', 'ada'],
      {
        RUSTORY_TRACKER_TOKEN: 'secret-token',
      },
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/This device is 12D3KooW/);
    expect(stdout).not.toContain('secret-token');
    for (const name of ['config.toml', 'swarm.key', 'identity.key'])
      expect(statSync(inConfig(name)).mode & 0o777).toBe(0o600);
    const doctor = JSON.parse((await run(['doctor', '--json'])).stdout) as {
      settings: Array<{ key: string; value: unknown; origin: string }>;
    };
    expect(doctor.settings).toContainEqual({ key: 'user_id', value: 'ada', origin: 'file' });
    expect(doctor.settings).toContainEqual({
      key: 'trackers',
      value: 'http://tracker.lan:8850',
      origin: 'file',
    });
    expect(doctor.settings).toContainEqual({ key: 'tracker_token', value: '[set]', origin: 'file' });
  });

  test('changes nothing when there is a configuration, and with --force replaces it but no key', async () => {
    await run(['init', '--user-id', 'ada', '--trackers', 'http://tracker.lan:8850']);
    const keys = ['swarm.key', 'identity.key'].map((name) => readFileSync(inConfig(name), 'hex'));
    expect(await run(['init', '--user-id', 'bob'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--force'),
    });
    expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('user_id = "ada"');
    expect((await run(['init', '--user-id', 'bob', '--force'])).code).toBe(0);
    expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('user_id = "bob"');
    expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('tracker.lan:8850');
    expect(['swarm.key', 'identity.key'].map((name) => readFileSync(inConfig(name), 'hex'))).toEqual(keys);
  });

  test('writes every setting with its documentation, so that taking the comment sign away is all there is to do', async () => {
    await run(['init']);
    const text = readFileSync(inConfig('config.toml'), 'utf8');
    const relay = '/dns4/relay.lan/tcp/4001/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
    writeFileSync(
      inConfig('config.toml'),
      text
        .replace(/^# (relay_addr = )""$/m, `$1"${relay}"`)
        .replace(/^# (p2p_request_attempts|dial_strategy|listen) = /gm, '$1 = '),
    );
    const { stdout } = await run(['doctor', '--json']);
    expect(stdout).toContain(`{"key":"relay_addr","value":"${relay}","origin":"file"}`);
    expect(stdout).toContain('{"key":"p2p_request_attempts","value":"3","origin":"file"}');
  });
});

describe('the history', () => {
  test('is imported once, whatever is imported twice', async () => {
    const file = join(device.home, '.bash_history');
    writeFileSync(file, '#1700000000\nls\n#1700000001\nexport TOKEN=1\nls\n');
    const environment = { RUSTORY_RECORD_IGNORE_REGEX: '(?i)nothing' };
    expect(JSON.parse((await run(['import', file, '--json'], environment)).stdout)).toEqual({
      shell: 'bash',
      commands: 2,
      imported: 2,
      skipped: 0,
    });
    expect((await run(['import', file])).stdout).toContain('imported 0 commands, skipped 2');
  });

  test('leaves out what must not be recorded', async () => {
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

  test('that cannot be read says why', async () => {
    expect(await run(['import', '--shell', 'bash', join(device.home, 'missing')])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ENOENT'),
    });
    expect(await run(['import'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('path of a history file'),
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
    'of %s is found where the shell keeps it, with its times, and again adds nothing',
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

  test('is recorded by a shell hook whose variables are empty as if they were not given', async () => {
    const empty = ['--cwd', '', '--shell', '', '--hostname', ''];
    const { code, stdout } = await run(['record', '--cmd', 'ls', ...empty, '--print-id']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^[0-9a-f-]{36}\n$/) });
    const entry = JSON.parse((await run(['entries', '--json'])).stdout) as Record<string, unknown>;
    expect(entry).toMatchObject({ entry_id: stdout.trim(), cwd: process.cwd(), shell: 'sh' });
    expect(entry['hostname']).not.toBe('');
  });

  test('in a database that cannot be used ends with 5 and says what to do', async () => {
    const path = join(device.home, 'letter.txt');
    writeFileSync(path, 'Dear Ada, '.repeat(500));
    expect(await run(['entries', '--db-path', path])).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('set db_path to another file'),
    });
    expect(readFileSync(path, 'utf8')).toBe('Dear Ada, '.repeat(500));
  });
});

describe('sync', () => {
  test('without a swarm key says where it belongs and ends with 78', async () => {
    const { code, stderr } = await run(['sync']);
    expect(code).toBe(78);
    expect(stderr).toContain(inConfig('swarm.key'));
    expect(stderr).toContain('rustory-peer init');
    expect(existsSync(inConfig('swarm.key'))).toBe(false);
  });

  test('without anyone to sync with says what to set', async () => {
    await run(['init']);
    expect(await run(['sync'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('set trackers in config.toml'),
    });
    expect(await run(['sync', '--peers', 'laptop'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('neither a peer id nor a multiaddr'),
    });
  });

  test('with a malformed configuration names line and column', async () => {
    await run(['init']);
    writeFileSync(inConfig('config.toml'), 'user_id = "ada"\ntrackers = [\n');
    expect(await run(['sync'])).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/config\.toml:\d+:\d+: /),
    });
  });
});

test('sync-status and peers tell what the database knows', async () => {
  await run(['init']);
  expect((await run(['sync-status'])).stdout).toContain('0 entries of 0 devices');
  expect(JSON.parse((await run(['sync-status', '--json'])).stdout)).toMatchObject({ entries: 0, peers: [] });
  expect(await run(['peers', '--json'])).toMatchObject({ code: 3, stdout: '' });
});
