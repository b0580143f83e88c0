import { chmodSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { createSwarmKeyFile } from '../../private-network/key.ts';
import { ConfigError } from '../../shared/errors.ts';
import { type PeerConfig, readPeerConfig } from '../config/config.ts';
import { checkHubSettings, hubWarnings, withHubDefaults } from './configuration.ts';

afterEach(cleanUp);

/** A directory with the files that a hub needs, and its environment. */
function prepare() {
  const directory = makeDirectory();
  const secret = join(directory, 'hub.secret');
  const swarmKey = join(directory, 'swarm.key');
  writeFileSync(secret, 'a secret with more than 16 bytes\n', { mode: 0o600 });
  createSwarmKeyFile(swarmKey);
  return {
    directory,
    secret,
    env: {
      HOME: directory,
      USER: 'root',
      RUSTORY_USER_ID: 'ada',
      RUSTORY_HUB_SECRET_PATH: secret,
      RUSTORY_SWARM_KEY_PATH: swarmKey,
      RUSTORY_TRACKERS: 'http://tracker.lan:8850',
      RUSTORY_ANNOUNCE_ADDRS: '/ip4/203.0.113.7/tcp/4002',
    },
  };
}

const read = (environment: Record<string, string>): PeerConfig =>
  withHubDefaults(readPeerConfig({ environment, check: checkHubSettings }));

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    read(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('The configuration was accepted.');
}

describe('the configuration of a hub', () => {
  test('has the defaults of a hub, and those that are set', () => {
    const { env } = prepare();
    expect(read(env)).toMatchObject({
      userId: 'ada',
      deviceId: 'hub',
      listen: ['/ip4/0.0.0.0/tcp/4002'],
      hub: {
        announced: ['/ip4/203.0.113.7/tcp/4002'],
        intervalSeconds: 300,
        opsListen: { host: '0.0.0.0', port: 9092 },
        maxDatabaseBytes: undefined,
        minFreeBytes: 64 * 1024 ** 2,
      },
    });
    expect(read({ ...env, RUSTORY_DEVICE_ID: 'server', RUSTORY_LISTEN: '/ip4/0.0.0.0/tcp/1' })).toMatchObject(
      {
        deviceId: 'server',
        listen: ['/ip4/0.0.0.0/tcp/1'],
      },
    );
    expect(read({ ...env, RUSTORY_OPS_HOST: '[::]' }).hub.opsListen.host).toBe('::');
  });

  test('reports all problems at once, those of a hub and those of every peer', () => {
    const { directory } = prepare();
    const problems = problemsOf({
      HOME: directory,
      USER: 'root',
      RUSTORY_HUB_SECRET_PATH: join(directory, 'missing'),
      RUSTORY_SWARM_KEY_PATH: join(directory, 'missing'),
      RUSTORY_TRACKERS: 'tracker',
      RUSTORY_TRACKER_TOKEN_PATH: join(directory, 'missing'),
      RUSTORY_ANNOUNCE_ADDRS:
        '/ip4/0.0.0.0/tcp/4002,/ip4/1.2.3.4/udp/1,/ip4/239.0.0.1/tcp/1,/ip4/1.2.3.4/tcp/0',
      RUSTORY_OPS_HOST: 'localhost',
      RUSTORY_OPS_PORT: '70000',
      RUSTORY_MAX_DATABASE_BYTES: '5',
      RUSTORY_HUB_INTERVAL_SEC: '1',
    });
    const text = problems.join('\n');
    for (const expected of [
      'user_id: The user of the hub is not configured',
      `hub_secret_path: ${directory}/missing: cannot be read`,
      `swarm_key_path: ${directory}/missing: cannot be read`,
      'RUSTORY_TRACKERS: ',
      `tracker_token_path: ${directory}/missing: cannot be read`,
      '"/ip4/0.0.0.0/tcp/4002" cannot be dialed',
      '"/ip4/1.2.3.4/udp/1" is not a host and a TCP port',
      '"/ip4/239.0.0.1/tcp/1" cannot be dialed',
      '"/ip4/1.2.3.4/tcp/0" cannot be dialed',
      'RUSTORY_OPS_HOST: "localhost" is not an IP address',
      'RUSTORY_OPS_PORT: ',
      'RUSTORY_MAX_DATABASE_BYTES: ',
      'RUSTORY_HUB_INTERVAL_SEC: ',
    ])
      expect(text).toContain(expected);
  });

  test('requires a user and a secret, and never takes the login name or the host name', () => {
    const { env } = prepare();
    const { RUSTORY_USER_ID: _, RUSTORY_HUB_SECRET_PATH: __, ...rest } = env;
    expect(problemsOf(rest)).toEqual([
      expect.stringContaining('user_id: '),
      expect.stringContaining('hub_secret_path: The secret of the hub is not configured'),
    ]);
    expect(read(env).deviceId).not.toBe(hostname());
  });

  test('takes the user from config.toml', () => {
    const { env, directory } = prepare();
    const { RUSTORY_USER_ID: _, ...rest } = env;
    writeFileSync(join(directory, 'config.toml'), 'user_id = "bob"\n');
    expect(read({ ...rest, RUSTORY_CONFIG: join(directory, 'config.toml') }).userId).toBe('bob');
  });

  test('reads the token from its file, and rejects two tokens, an empty file and a token in two lines', () => {
    const { env, directory } = prepare();
    const path = join(directory, 'token');
    const withFile = { ...env, RUSTORY_TRACKER_TOKEN_PATH: path };
    writeFileSync(path, 'secret-token\n');
    expect(read(withFile).trackerToken).toBe('secret-token');
    expect(problemsOf({ ...withFile, RUSTORY_TRACKER_TOKEN: 'other' })).toEqual([
      'tracker_token, tracker_token_path: Set only one of them.',
    ]);
    writeFileSync(path, '\n');
    expect(problemsOf(withFile)).toEqual([
      `tracker_token_path: ${path}: The file is empty; write the token into it.`,
    ]);
    writeFileSync(path, 'secret-one\nsecret-two\n');
    const [problem = ''] = problemsOf(withFile);
    expect(problem).toContain('not printable ASCII');
    expect(problem).not.toContain('secret-one');
  });
});

describe('a hub warns', () => {
  test('of nothing when it can be found and reached', () => {
    expect(hubWarnings(read(prepare().env))).toEqual([]);
  });

  test.each([
    [{ RUSTORY_TRACKERS: '' }, 'trackers: Without a tracker'],
    [{ RUSTORY_ANNOUNCE_ADDRS: '' }, 'relay_addr, announce_addrs: Without one of them'],
  ])('of %j', (env, warning) => {
    expect(hubWarnings(read({ ...prepare().env, ...env }))).toEqual([expect.stringContaining(warning)]);
  });

  test('of a secret that every user of the machine can read', () => {
    const { env, secret } = prepare();
    chmodSync(secret, 0o644);
    expect(hubWarnings(read(env))).toEqual([expect.stringContaining(`run: chmod 600 ${secret}`)]);
    // A Secret in a pod belongs to a group.
    chmodSync(secret, 0o440);
    expect(hubWarnings(read(env))).toEqual([]);
  });
});
