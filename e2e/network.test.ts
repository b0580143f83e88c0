// Tracker, relay and peers as processes: bundles, a wrong swarm key, and a killed relay.
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import {
  deviceEnvironment,
  difference,
  parseLines,
  startRelay,
  type SyncResult,
} from '../scripts/local-network.ts';
import { finished, type Running, startProgram } from '../scripts/processes.ts';
import { createSwarmKeyFile } from '../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../testing/cleanup.ts';
import { metric } from '../testing/load-devices.ts';
import {
  createDevice,
  type Device,
  makeTestDirectory,
  startNetwork,
  type TestNetwork,
} from '../testing/network.ts';
import { until } from '../testing/wait.ts';

const ROOT = join(import.meta.dirname, '..');
const SAMPLE = join(ROOT, 'scripts/sample/bash_history');
const SAMPLE_ENTRIES = 3000;

afterEach(cleanUp);

/** A device with the default listen addresses of the peer. */
function createDefaultDevice({ directory, tracker, relay }: TestNetwork, name: string): Device {
  return createDevice(name, deviceEnvironment(directory, name, { tracker, relay }));
}

/** A serving device with the sample history, and a device without entries. */
async function startPair(network: TestNetwork): Promise<[Device, Device]> {
  const [a, b] = [createDefaultDevice(network, 'a'), createDefaultDevice(network, 'b')];
  expect((await a.run('import', '--shell', 'bash', SAMPLE)).code).toBe(0);
  await a.serve();
  return [a, b];
}

test('the bundles run without any other file and sync', async () => {
  const directory = makeTestDirectory();
  const bundles = join(directory, 'dist');
  mkdirSync(bundles);
  for (const name of ['tracker', 'relay', 'peer'])
    copyFileSync(join(ROOT, `dist/${name}.js`), join(bundles, `${name}.mjs`));
  const start = (name: string, env: Record<string, string>, ...args: string[]): Running => {
    const running = startProgram(name, join(bundles, `${name}.mjs`), { cwd: directory, env, args });
    onCleanup(async () => running.stop());
    return running;
  };

  createSwarmKeyFile(join(directory, 'swarm.key'));
  const tracker = start('tracker', { TRACKER_LISTEN: '127.0.0.1:0', TRACKER_OPS_LISTEN: '127.0.0.1:0' });
  const relay = start('relay', {
    RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
    RELAY_LOCAL: 'true',
    RELAY_OPS_LISTEN: '127.0.0.1:0',
    RELAY_SWARM_KEY_FILE: join(directory, 'swarm.key'),
    RELAY_IDENTITY_KEY_FILE: join(directory, 'relay.key'),
  });
  const { address } = await tracker.waitFor('listening');
  const { cipher, addresses } = await relay.waitFor('listening');
  expect(cipher).toBe('noble');
  const network = {
    tracker: { url: `http://${String(address)}` },
    relay: { address: String((addresses as string[])[0]) },
  };
  const [a, b] = ['a', 'b'].map((name) => deviceEnvironment(directory, name, network));
  if (a === undefined || b === undefined) throw new Error('There are no devices.');
  expect((await finished(start('peer', a, 'import', '--shell', 'bash', SAMPLE))).code).toBe(0);
  const serving = start('peer', a, 'serve');
  await serving.waitFor('registered', ({ addrs }) => String(addrs).includes('/p2p-circuit'));
  const sync = await finished(start('peer', b, 'sync', '--json'));
  expect(parseLines<SyncResult>(sync.stdout)).toMatchObject([{ entries: SAMPLE_ENTRIES, duplicates: 0 }]);
});

test('a peer with another swarm key cannot connect, the relay counts it, and other peers are not affected', async () => {
  const network = await startNetwork();
  const [, b] = await startPair(network);
  const otherKey = join(network.directory, 'other.key');
  createSwarmKeyFile(otherKey);
  const { env } = createDefaultDevice(network, 'c');
  const c = createDevice('c', { ...env, RUSTORY_SWARM_KEY_PATH: otherKey });
  const refused = await c.run('sync');
  expect(refused.code).toBe(3);
  expect(refused.stdout + refused.stderr).toContain('swarm key');
  const wrongKeys = await metric(network.relay, 'rustory_relay_handshakes_total{outcome="wrong_key"}');
  expect(wrongKeys).toBeGreaterThan(0);

  const { stdout } = await b.run('sync', '--json');
  expect(parseLines<SyncResult>(stdout)).toMatchObject([{ entries: SAMPLE_ENTRIES, duplicates: 0 }]);
});

test('running peers reconnect to a relay that was killed and restarted, without lost or duplicate entries', async () => {
  const network = await startNetwork();
  const { relay, directory } = network;
  const [a, b] = await startPair(network);
  const watching = b.start('sync', '--watch', '--interval-sec', '1', '--json');
  // Counted from the output of the peer, because its database may not have its tables yet.
  const received = (): number =>
    parseLines<Partial<SyncResult>>(watching.stdout()).reduce((sum, { entries = 0 }) => sum + entries, 0);
  await until(() => received() === SAMPLE_ENTRIES, 'the first sync is complete');

  relay.kill('SIGKILL');
  await relay.exited;
  await a.run('record', '--cmd', 'echo while the relay is away');
  const address = relay.address.slice(0, relay.address.indexOf('/p2p/'));
  const restarted = await startRelay(directory, { env: { RELAY_LISTEN: address } });
  onCleanup(async () => restarted.stop());
  expect(restarted.address).toBe(relay.address);
  await until(() => received() === SAMPLE_ENTRIES + 1, 'the next sync has received the new command');
  expect(difference(a.databasePath, b.databasePath)).toEqual({
    missing: 0,
    surplus: 0,
    rows: SAMPLE_ENTRIES + 1,
  });
  expect(watching.logged('fatal')).toEqual([]);
});
