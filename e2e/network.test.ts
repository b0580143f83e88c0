// Tracker, relay and peers as processes: the commands of the README, the bundles, and failures of the network.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createSwarmKeyFile } from '../services/private-network/key.ts';
import {
  deviceEnvironment,
  difference,
  parseLines,
  startRelay,
  type SyncResult,
} from '../scripts/local-network.ts';
import {
  finished,
  type Running,
  type RunOptions,
  type ServiceName,
  startCommand,
  startProgram,
} from '../scripts/processes.ts';
import { currentBundle } from '../testing/bundle.ts';
import { cleanUp, onCleanup } from '../testing/cleanup.ts';
import { metric } from '../testing/load-devices.ts';
import { createDevice, makeTestDirectory, startNetwork } from '../testing/network.ts';
import { until } from '../testing/wait.ts';

const ROOT = join(import.meta.dirname, '..');
const SAMPLE = join(ROOT, 'scripts/sample/bash_history');

/** Entries of the sample. */
const SAMPLE_ENTRIES = 3000;

/** Services of `npm start` on free loopback ports. */
const LOOPBACK = {
  TRACKER_LISTEN: '127.0.0.1:0',
  TRACKER_OPS_LISTEN: '127.0.0.1:0',
  RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
  RELAY_OPS_LISTEN: '127.0.0.1:0',
  RELAY_LOCAL: 'true',
};

afterEach(cleanUp);

/** Starts a program that is stopped after the test. */
function start(name: string, entry: string, options: RunOptions): Running {
  const running = startProgram(name, entry, options);
  onCleanup(async () => running.stop());
  return running;
}

describe('npm run demo', () => {
  test('syncs two devices and a later one through the hub, prints the result, and leaves no file behind', async () => {
    const directory = makeTestDirectory();
    const home = join(directory, 'home');
    mkdirSync(home);
    const env = { HOME: home, TMPDIR: directory };
    const demo = await finished(start('demo', join(ROOT, 'scripts/demo.ts'), { env }));
    expect(demo).toMatchObject({ code: 0, stderr: '' });
    expect(demo.stdout).toMatch(
      /B reached A by +\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w+\/p2p-circuit\/p2p\/\w+/,
    );
    expect(demo.stdout).toMatch(/entries received by B +3,000, all equal/);
    expect(demo.stdout).toMatch(/C reached the hub by +\/ip4\S+\/p2p-circuit\/p2p\/\w+/);
    expect(demo.stdout).toMatch(/entries received by C +3,000, all equal/);
    expect(demo.stdout).toMatch(/duplicates +0\n/);
    expect(readdirSync(directory)).toEqual(['home']);
    expect(readdirSync(home)).toEqual([]);
  });
});

describe('npm start', () => {
  const program = join(ROOT, 'scripts/start.ts');

  test('keeps its keys across restarts and prints the configuration of a device', async () => {
    const directory = makeTestDirectory();
    const relays: string[] = [];
    for (let round = 0; round < 2; round += 1) {
      const started = start('start', program, { env: LOOPBACK, cwd: directory });
      await until(() => started.stdout().includes('Press Ctrl-C'), 'both services have started');
      const config = readFileSync(join(directory, '.rustory/config.toml'), 'utf8');
      expect(started.stdout()).toContain(/^relay_addr = .*$/m.exec(config)?.[0]);
      relays.push(/p2p\/(\w+)"/.exec(config)?.[1] ?? '');
      started.kill('SIGINT');
      expect(await started.exited).toBe(0);
    }
    expect(relays[0]).toMatch(/^12D3/);
    expect(relays[1]).toBe(relays[0]);
    for (const name of ['swarm.key', 'relay.key'])
      expect(statSync(join(directory, '.rustory', name)).mode & 0o777).toBe(0o600);
  });

  test('runs a hub of a user with --hub, with which a device syncs that has the printed configuration', async () => {
    const directory = makeTestDirectory();
    const folder = join(directory, '.rustory');
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, 'hub.toml'), 'listen = "none"\nops_port = 0\n');
    const started = start('start', program, { args: ['--hub', 'ada'], env: LOOPBACK, cwd: directory });
    await until(() => started.stdout().includes('Press Ctrl-C to stop all'), 'the services have started');
    expect(started.stdout()).toMatch(/hub +of the user ada/);
    const device = createDevice('laptop', {
      HOME: directory,
      RUSTORY_CONFIG: join(folder, 'config.toml'),
      RUSTORY_SWARM_KEY_PATH: join(folder, 'swarm.key'),
      RUSTORY_DB_PATH: join(directory, 'laptop.db'),
      RUSTORY_LISTEN: 'none',
    });
    expect((await device.run('record', '--cmd', 'echo hub')).code).toBe(0);
    const { code, stdout } = await device.run('sync', '--push', '--json');
    expect([code, parseLines(stdout)]).toEqual([0, [expect.objectContaining({ duplicates: 0 })]]);
    started.kill('SIGINT');
    expect(await started.exited).toBe(0);
    expect(difference(join(directory, 'laptop.db'), join(folder, 'hub.db'))).toEqual({
      missing: 0,
      surplus: 0,
      rows: 1,
    });
    expect(statSync(join(folder, 'hub.secret')).mode & 0o777).toBe(0o600);
  });

  test('names the service that did not start, and stops the other service', async () => {
    const env = { ...LOOPBACK, TRACKER_LISTEN: 'nowhere' };
    const started = await finished(start('start', program, { env, cwd: makeTestDirectory() }));
    expect(started.code).toBe(1);
    expect(started.stderr).toContain('TRACKER_LISTEN: "nowhere" is not host:port');
    expect(started.stderr).toContain('npm start: The tracker did not start; its messages are above.');
  });

  test('listens on loopback for the ops ports', async () => {
    const { TRACKER_OPS_LISTEN: _tracker, RELAY_OPS_LISTEN: _relay, ...env } = LOOPBACK;
    const started = start('start', program, { env, cwd: makeTestDirectory() });
    // Another process of this machine may use the ports; the message then has the address too.
    await until(
      () => [9090, 9091].every((port) => started.stderr().includes(`127.0.0.1:${port}`)),
      'both log the address',
    );
    started.kill('SIGINT');
    await started.exited;
    expect(started.stderr()).not.toMatch(/(0\.0\.0\.0|\[::\]):909[01]/);
  });

  test('reports an invalid swarm key with its path in a whole sentence', async () => {
    const directory = makeTestDirectory();
    const path = join(directory, '.rustory/swarm.key');
    mkdirSync(join(directory, '.rustory'));
    copyFileSync(SAMPLE, path);
    const { code, stderr } = await finished(start('start', program, { env: LOOPBACK, cwd: directory }));
    expect(code).toBe(1);
    expect(stderr).toBe(`npm start: ${path}: The file is larger than 1024 bytes.`);
  });

  test('stops both services when the reader of its output ends', async () => {
    const pipeline = startCommand('start', ['sh', '-c', `"${process.execPath}" "${program}" | true`], {
      env: LOOPBACK,
      cwd: makeTestDirectory(),
    });
    onCleanup(async () => pipeline.stop());
    // The shell waits for both sides of its pipe.
    await pipeline.exited;
    expect(pipeline.logged('stopped').map(({ service }) => service)).toEqual(
      expect.arrayContaining(['tracker', 'relay']),
    );
  });
});

test('the bundles run without any other file, and sync', async () => {
  const directory = makeTestDirectory();
  const startBundle = (name: ServiceName, env: Record<string, string>, ...args: string[]): Running => {
    const copy = join(directory, `${name}.mjs`);
    copyFileSync(currentBundle(name), copy);
    return start(name, copy, { cwd: directory, env, args });
  };
  createSwarmKeyFile(join(directory, 'swarm.key'));
  const tracker = startBundle('tracker', LOOPBACK);
  const relay = startBundle('relay', {
    ...LOOPBACK,
    RELAY_SWARM_KEY_FILE: join(directory, 'swarm.key'),
    RELAY_IDENTITY_KEY_FILE: join(directory, 'relay.key'),
  });
  const { address } = await tracker.waitFor('listening');
  const listening = await relay.waitFor('listening');
  expect(listening['cipher']).toBe('noble');
  const network = {
    tracker: { url: `http://${String(address)}` },
    relay: { address: String((listening['addresses'] as string[])[0]) },
  };
  const a = deviceEnvironment(directory, 'a', network);
  const b = deviceEnvironment(directory, 'b', network);
  expect((await finished(startBundle('peer', a, 'import', '--shell', 'bash', SAMPLE))).code).toBe(0);
  const serving = startBundle('peer', a, 'serve');
  await serving.waitFor('registered', ({ addrs }) => String(addrs).includes('/p2p-circuit'));
  const sync = await finished(startBundle('peer', b, 'sync', '--json'));
  expect(parseLines<SyncResult>(sync.stdout)).toMatchObject([{ entries: SAMPLE_ENTRIES, duplicates: 0 }]);
});

test('a peer with another swarm key cannot sync, the relay counts it, and other peers are not affected', async () => {
  const network = await startNetwork();
  const [a, b] = [network.device('a'), network.device('b')];
  await a.run('import', '--shell', 'bash', SAMPLE);
  await a.serve();

  const otherKey = join(network.directory, 'other.key');
  createSwarmKeyFile(otherKey);
  const refused = await network.device('c', { RUSTORY_SWARM_KEY_PATH: otherKey }).run('sync');
  expect(refused.code).toBe(3);
  expect(refused.stdout + refused.stderr).toContain('swarm key');
  expect(await metric(network.relay, 'rustory_relay_handshakes_total{outcome="wrong_key"}')).toBeGreaterThan(
    0,
  );

  const { stdout } = await b.run('sync', '--json');
  expect(parseLines<SyncResult>(stdout)).toMatchObject([{ entries: SAMPLE_ENTRIES, duplicates: 0 }]);
});

test('running peers reconnect to a relay that was killed and restarted, and no entry is lost or duplicated', async () => {
  const network = await startNetwork();
  const [a, b] = [network.device('a'), network.device('b')];
  await a.run('import', '--shell', 'bash', SAMPLE);
  await a.serve();
  const watching = b.start('sync', '--watch', '--interval-sec', '1', '--json');
  // Reads the output of the peer, because a database that is being created has no tables yet.
  const received = (): number =>
    parseLines<Partial<SyncResult>>(watching.stdout()).reduce((sum, { entries = 0 }) => sum + entries, 0);
  await until(() => received() === SAMPLE_ENTRIES, 'the first sync has ended');

  network.relay.kill('SIGKILL');
  await network.relay.exited;
  await a.run('record', '--cmd', 'echo while the relay is down');
  const address = network.relay.address.slice(0, network.relay.address.indexOf('/p2p/'));
  const restarted = await startRelay(network.directory, { env: { RELAY_LISTEN: address } });
  onCleanup(async () => restarted.stop());
  expect(restarted.address).toBe(network.relay.address);
  await until(() => received() === SAMPLE_ENTRIES + 1, 'a sync has received the new entry');
  expect(difference(a.databasePath, b.databasePath)).toEqual({
    missing: 0,
    surplus: 0,
    rows: SAMPLE_ENTRIES + 1,
  });
  expect(watching.logged('fatal')).toEqual([]);
});
