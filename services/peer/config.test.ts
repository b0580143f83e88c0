import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ConfigError } from '../shared/errors.ts';
import { type Config, type ConfigSources, describeSettings, loadConfig } from './config.ts';

let home: string;
let file: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'rustory-config-'));
  mkdirSync(join(home, '.config', 'rustory'), { recursive: true });
  file = join(home, '.config', 'rustory', 'config.toml');
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

function load(sources: ConfigSources = {}): Config {
  return loadConfig({ ...sources, environment: { HOME: home, ...sources.environment } });
}

function problemsOf(sources: ConfigSources = {}): readonly string[] {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('the configuration', () => {
  test('has defaults for everything a device needs, and no file is fine', () => {
    const { settings, origins, fileExists, path } = load();
    expect(fileExists).toBe(false);
    expect(path).toBe(file);
    expect(settings).toMatchObject({
      dbPath: join(home, '.rustory', 'history.db'),
      swarmKeyPath: join(home, '.config', 'rustory', 'swarm.key'),
      p2pIdentityKeyPath: join(home, '.config', 'rustory', 'identity.key'),
      dialStrategy: 'relay-first',
      p2pRequestAttempts: 3,
      listen: ['/ip4/0.0.0.0/tcp/0'],
    });
    expect(settings.userId).not.toBe('');
    expect(settings.trackers).toBeUndefined();
    expect(origins.dbPath).toBe('default');
  });

  test('takes a flag over the environment, that over the file, that over the default, and tells which it was', () => {
    writeFileSync(file, 'user_id = "file"\ndevice_id = "file"\ndb_path = "~/file.db"\n');
    const { settings, origins } = load({
      flags: { userId: 'flag' },
      environment: { RUSTORY_USER_ID: 'environment', RUSTORY_DEVICE_ID: 'environment' },
    });
    expect([settings.userId, settings.deviceId, settings.dbPath]).toEqual([
      'flag',
      'environment',
      join(home, 'file.db'),
    ]);
    expect([origins.userId, origins.deviceId, origins.dbPath, origins.listen]).toEqual([
      'flag',
      'environment',
      'file',
      'default',
    ]);
  });

  test('reads a file as rr writes it, keys of rr alone included', () => {
    const peerId = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
    writeFileSync(
      file,
      [
        '# rustory config.toml',
        'db_path = "~/.rustory/history.db"',
        'trackers = ["http://10.0.0.1:8850/", "https://tracker.example"]',
        `relay_addr = "/ip4/10.0.0.1/tcp/4001/p2p/${peerId}"`,
        'tracker_token = "secret"',
        'p2p_request_attempts = 4',
        'search_limit_default = 100000',
        'record_ignore_regex = "(?i)token|password"',
        'async_upload = true',
        'auto_prune_days = 90',
      ].join('\n'),
    );
    const { settings, warnings } = load();
    expect(warnings).toEqual([]);
    expect(settings.trackers).toEqual(['http://10.0.0.1:8850', 'https://tracker.example']);
    expect(settings.relayAddr).toEqual([`/ip4/10.0.0.1/tcp/4001/p2p/${peerId}`]);
    expect(settings.p2pRequestAttempts).toBe(4);
    expect(settings.recordIgnoreRegex?.test('export TOKEN=1')).toBe(true);
  });

  test('names line and column of a malformed file, and nothing of its content', () => {
    writeFileSync(file, 'tracker_token = "very secret"\nuser_id = \n');
    const [problem] = problemsOf();
    expect(problem).toMatch(/config\.toml:2:\d+: /);
    expect(problem).not.toContain('very secret');
  });

  test('reports all problems at once, each under the name it was given by, never a token', () => {
    writeFileSync(file, 'p2p_request_attempts = "many"\ntrackers = [1, { a = 1 }]\n');
    const problems = problemsOf({
      flags: { dialStrategy: 'fastest' },
      environment: { RUSTORY_TRACKER_TOKEN: 'two words', RUSTORY_RELAY_ADDR: '/ip4/10.0.0.1/tcp/4001' },
    });
    expect(problems).toHaveLength(5);
    expect(problems.join('\n')).toContain('--dial-strategy must be one of');
    expect(problems.join('\n')).toContain('RUSTORY_RELAY_ADDR must be multiaddrs that end in /p2p/');
    expect(problems.join('\n')).toContain(`p2p_request_attempts in ${file} must be a whole number`);
    expect(problems.join('\n')).not.toContain('two words');
  });

  test('warns of keys and variables that nobody knows', () => {
    writeFileSync(file, 'treackers = []\n');
    expect(load({ environment: { RUSTORY_DB: 'x' } }).warnings).toEqual([
      expect.stringContaining('"treackers"'),
      expect.stringContaining('RUSTORY_DB'),
    ]);
  });

  test('keeps keys beside the file that --config or RUSTORY_CONFIG names', () => {
    const other = join(home, 'other', 'grid.toml');
    expect(load({ path: other }).settings.swarmKeyPath).toBe(join(home, 'other', 'swarm.key'));
    expect(load({ environment: { RUSTORY_CONFIG: '~/other/grid.toml' } }).path).toBe(other);
  });

  test('uses the XDG directory only where it exists, because rr looks in ~/.config', () => {
    const xdg = join(home, 'xdg');
    expect(load({ environment: { XDG_CONFIG_HOME: xdg } }).path).toBe(file);
    mkdirSync(join(xdg, 'rustory'), { recursive: true });
    expect(load({ environment: { XDG_CONFIG_HOME: xdg } }).path).toBe(join(xdg, 'rustory', 'config.toml'));
  });

  test('takes no direct connections when listen is "none"', () => {
    expect(load({ environment: { RUSTORY_LISTEN: 'none' } }).settings.listen).toEqual([]);
  });

  test('offers no flag for the token, because arguments can be read by all', () => {
    const infos = describeSettings({ HOME: home });
    expect(infos.find(({ name }) => name === 'trackerToken')?.flag).toBeUndefined();
    expect(infos.find(({ name }) => name === 'p2pIdentityKeyPath')).toMatchObject({
      key: 'p2p_identity_key_path',
      variable: 'RUSTORY_P2P_IDENTITY_KEY_PATH',
      flag: 'p2p-identity-key-path',
    });
  });
});
