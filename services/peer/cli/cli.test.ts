import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'smol-toml';
import { createTestHome, type TestHome } from '../../../testing/cli.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import { COMMANDS } from './cli.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const run: TestHome['run'] = async (...args) => device.run(...args);
const inConfig = (name: string): string => device.inConfig(name);
const NAMES = COMMANDS.map(({ name }) => name);

describe('help', () => {
  test('lists every command and every exit code', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const command of NAMES) expect(stdout).toContain(`\n  ${command} `);
    for (const exit of [0, 1, 2, 3, 4, 5, 78]) expect(stdout).toMatch(new RegExp(`^  ${exit} +\\w`, 'm'));
  });

  test.each([undefined, ...NAMES, 'settings'])('of %s fits 80 columns and has an example', async (topic) => {
    const command = topic === undefined ? [] : [topic];
    const { code, stdout } = await run([...command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('rustory-peer');
    const longest = Math.max(...stdout.split('\n').map((line) => line.replaceAll(device.home, '~').length));
    expect(longest).toBeLessThanOrEqual(80);
    expect(await run(['help', ...command])).toMatchObject({ code: 0, stdout });
  });

  test('is the same under the former name of a command, which the list omits', async () => {
    const { stdout } = await run(['network-test', '--help']);
    expect(await run(['grid-test', '--help'])).toMatchObject({ code: 0, stdout });
    expect(stdout).toContain('"grid-test" is another name of this command.');
    expect((await run(['--help'])).stdout).not.toContain('grid-test');
  });

  test('is mentioned by the error about an invalid command line', async () => {
    expect(await run([])).toMatchObject({
      code: 2,
      stderr: 'rustory-peer: The command is missing.\n  See rustory-peer --help.\n',
    });
    expect(await run(['snyc'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"snyc" is not a command.'),
    });
    expect(await run(['sync', '--fast'])).toMatchObject({
      code: 2,
      stderr: 'rustory-peer: --fast: Unknown option.\n  See rustory-peer sync --help.\n',
    });
    for (const wrong of [
      ['help', 'snyc'],
      ['snyc', '--help'],
    ])
      expect(await run(wrong)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('"snyc" is not a command.'),
      });
    expect(await run(['entries', 'all'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Unexpected argument "all".'),
    });
    expect(await run(['entries', '--limit', 'many'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--limit: "many" is not a whole number from 1'),
    });
  });
});

test.each([
  [['-x'], '-x: Unknown option.'],
  [['--json=yes'], '--json: The option has no value.'],
  [['--peers'], '--peers: The value is missing.'],
  [['--limit', '-5'], '--limit: "-5" looks like an option. To use it as the value, write --limit=-5.'],
])('the arguments %j are rejected', async (args, problem) => {
  expect(await run(['sync', ...args])).toMatchObject({ code: 2, stderr: expect.stringContaining(problem) });
});

describe('init', () => {
  test('creates a valid configuration, and keys that only the owner can read', async () => {
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

  test('changes nothing when a configuration exists, and with --force replaces it but not the keys', async () => {
    await run(['init', '--user-id', 'ada', '--trackers', 'http://tracker.lan:8850']);
    appendFileSync(inConfig('config.toml'), 'async_upload = true\n\n[future]\nof_rr = [1, "two"]\n');
    const keys = ['swarm.key', 'identity.key'].map((name) => readFileSync(inConfig(name), 'hex'));
    expect(await run(['init', '--user-id', 'bob'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--force'),
    });
    expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('user_id = "ada"');
    expect((await run(['init', '--user-id', 'bob', '--force'])).code).toBe(0);
    expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('user_id = "bob"');
    const written = readFileSync(inConfig('config.toml'), 'utf8');
    expect(written).toContain('tracker.lan:8850');
    expect(parse(written)).toMatchObject({ async_upload: true, future: { of_rr: [1, 'two'] } });
    expect(['swarm.key', 'identity.key'].map((name) => readFileSync(inConfig(name), 'hex'))).toEqual(keys);
  });

  test.each([['--force'], []])(
    'leaves files that only the owner can read, also if others could: %j',
    async (...force) => {
      await run(['init']);
      const names = ['config.toml', 'swarm.key', 'identity.key'];
      for (const name of names) chmodSync(inConfig(name), 0o664);
      if (force.length === 0) rmSync(inConfig('config.toml'));
      else {
        // A link to a file elsewhere is kept.
        renameSync(inConfig('config.toml'), inConfig('elsewhere.toml'));
        symlinkSync(inConfig('elsewhere.toml'), inConfig('config.toml'));
      }
      expect((await run(['init', '--user-id', 'bob', ...force])).code).toBe(0);
      for (const name of names) expect(statSync(inConfig(name)).mode & 0o777).toBe(0o600);
      expect(lstatSync(inConfig('config.toml')).isSymbolicLink()).toBe(force.length > 0);
      expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('user_id = "bob"');
    },
  );

  test('writes a device without listen addresses as it reads one', async () => {
    await run(['init', '--listen', 'none']);
    expect(readFileSync(inConfig('config.toml'), 'utf8')).toContain('listen = "none"');
    expect((await run(['sync-status'])).code).toBe(0);
  });

  test('writes every setting with its documentation, commented out', async () => {
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

describe('sync', () => {
  test('without a swarm key names its path and exits with 78', async () => {
    const { code, stderr } = await run(['sync']);
    expect(code).toBe(78);
    expect(stderr).toContain(inConfig('swarm.key'));
    expect(stderr).toContain('rustory-peer init');
    expect(existsSync(inConfig('swarm.key'))).toBe(false);
  });

  test('without trackers names the setting', async () => {
    await run(['init']);
    expect(await run(['sync'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('Set trackers in config.toml'),
    });
    expect(await run(['sync', '--peers', 'laptop'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/neither a peer id nor a\s+multiaddr/),
    });
  });

  test('rejects invalid options before it connects', async () => {
    await run(['init']);
    expect(await run(['sync', '--interval-sec', '5'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--interval-sec: The option requires --watch.'),
    });
    for (const limit of ['0', '10001', 'all'])
      expect(await run(['sync', '--limit', limit])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`--limit: "${limit}" is not a whole number from 1 to 10000.`),
      });
  });

  test('with a malformed configuration reports line and column', async () => {
    await run(['init']);
    writeFileSync(inConfig('config.toml'), 'user_id = "ada"\ntrackers = [\n');
    expect(await run(['sync'])).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/config\.toml:\d+:\d+: /),
    });
  });
});

test.each(['serve', 'daemon'])(
  '%s without a relay and a listen address names the settings',
  async (command) => {
    await run(['init']);
    expect(await run([command, '--listen', 'none'])).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('Set relay_addr or listen in'),
    });
  },
);

test('colors and progress are used only on a terminal, and NO_COLOR disables colors', async () => {
  const file = join(device.home, '.bash_history');
  writeFileSync(file, Array.from({ length: 10_000 }, (_, line) => `echo ${line}\n`).join(''));
  const terminal = await run(['import', file], {}, true);
  expect(terminal.stderr).toContain('10,000 of 10,000 commands');
  expect((await run(['import', file])).stderr).toBe('');
  const color = '\u001B[';
  expect((await run(['doctor'], {}, true)).stdout).toContain(color);
  for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
    expect((await run(['doctor'], environment, true)).stdout).not.toContain(color);
  expect((await run(['doctor'])).stdout).not.toContain(color);
});

test('sync-status and peers show the content of the database', async () => {
  await run(['init']);
  expect((await run(['sync-status'])).stdout).toContain('0 entries of 0 devices');
  expect(JSON.parse((await run(['sync-status', '--json'])).stdout)).toMatchObject({ entries: 0, peers: [] });
  expect(await run(['peers', '--json'])).toMatchObject({ code: 3, stdout: '' });
});
