// The whole path on real processes: tracker, relay and peers, as an operator and a device see them.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { residentMiB } from '../testing/process-usage.ts';
import { until } from '../testing/wait.ts';
import { createSwarmKeyFile } from '../services/private-network/key.ts';
import {
  deviceEnvironment,
  difference,
  parseLines,
  type Relay,
  startRelay,
  startTracker,
  type SyncResult,
  type Tracker,
} from '../scripts/local-network.ts';
import { finished, type Running, startProgram, startService } from '../scripts/processes.ts';

const ROOT = join(import.meta.dirname, '..');
const SAMPLE = join(ROOT, 'scripts/sample/bash_history');

let folder: string;
const running: Running[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rustory-e2e-'));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map(async (service) => service.stop()));
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function keep<T extends Running>(service: T): T {
  running.push(service);
  return service;
}

async function startGrid(relayEnv: Record<string, string> = {}): Promise<{ tracker: Tracker; relay: Relay }> {
  return { tracker: keep(await startTracker()), relay: keep(await startRelay(folder, { env: relayEnv })) };
}

async function peer(env: Record<string, string>, ...args: string[]) {
  return finished(startService('peer', { env, args }));
}

/** Starts `serve` and waits until the tracker lists it with a circuit. */
async function serve(env: Record<string, string>): Promise<Running> {
  const serving = keep(startService('peer', { env, args: ['serve'] }));
  await serving.waitFor('registered', ({ addrs }) => String(addrs).includes('/p2p-circuit'));
  return serving;
}

async function metric(relay: Relay, series: string): Promise<number> {
  const text = await (await fetch(`http://${relay.ops}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length));
}

describe('the commands of the README', () => {
  test('npm run demo syncs two devices, shows how, and leaves nothing behind', async () => {
    const home = join(folder, 'home');
    mkdirSync(home);
    const env = { HOME: home, TMPDIR: folder };
    const demo = await finished(startProgram('demo', join(ROOT, 'scripts/demo.ts'), { env }));
    expect(demo).toMatchObject({ code: 0, stderr: '' });
    expect(demo.stdout).toMatch(
      /B reached A by +\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w+\/p2p-circuit\/p2p\/\w+/,
    );
    expect(demo.stdout).toMatch(/entries received by B +3,000, all equal/);
    expect(demo.stdout).toMatch(/duplicates +0\n/);
    expect(readdirSync(folder)).toEqual(['home']);
    expect(readdirSync(home)).toEqual([]);
  }, 60_000);

  test('npm start keeps its keys across restarts and prints a configuration that works', async () => {
    const env = {
      TRACKER_LISTEN: '127.0.0.1:0',
      TRACKER_OPS_LISTEN: '127.0.0.1:0',
      RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
      RELAY_LOCAL: 'true',
    };
    const relays: string[] = [];
    for (let round = 0; round < 2; round += 1) {
      const started = keep(startProgram('start', join(ROOT, 'scripts/start.ts'), { env, cwd: folder }));
      await until(() => started.stdout().includes('Ctrl-C stops both'), 'both have started');
      const config = readFileSync(join(folder, '.rustory/config.toml'), 'utf8');
      expect(started.stdout()).toContain(/^relay_addr = .*$/m.exec(config)?.[0]);
      relays.push(/p2p\/(\w+)"/.exec(config)?.[1] ?? '');
      started.kill('SIGINT');
      expect(await started.exited).toBe(0);
    }
    expect(relays[0]).toMatch(/^12D3/);
    expect(relays[1]).toBe(relays[0]);
    for (const name of ['swarm.key', 'relay.key']) {
      expect(statSync(join(folder, '.rustory', name)).mode & 0o777).toBe(0o600);
    }
  }, 60_000);

  test('npm start says which service could not start, and stops the other', async () => {
    const env = {
      TRACKER_LISTEN: 'nowhere',
      RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
      RELAY_LOCAL: 'true',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
    };
    const started = await finished(
      startProgram('start', join(ROOT, 'scripts/start.ts'), { env, cwd: folder }),
    );
    expect(started.code).toBe(1);
    expect(started.stderr).toContain('TRACKER_LISTEN must be host:port');
  }, 60_000);
});

test('the bundles run with nothing beside them, and sync', async () => {
  const bundles = join(folder, 'dist');
  mkdirSync(bundles);
  for (const name of ['tracker', 'relay', 'peer'])
    copyFileSync(join(ROOT, `dist/${name}.js`), join(bundles, `${name}.mjs`));
  const start = (name: string, options: Parameters<typeof startProgram>[2]) =>
    keep(startProgram(name, join(bundles, `${name}.mjs`), { cwd: folder, ...options }));

  createSwarmKeyFile(join(folder, 'swarm.key'));
  const tracker = start('tracker', {
    env: { TRACKER_LISTEN: '127.0.0.1:0', TRACKER_OPS_LISTEN: '127.0.0.1:0' },
  });
  const relay = start('relay', {
    env: {
      RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
      RELAY_LOCAL: 'true',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
      RELAY_SWARM_KEY_FILE: join(folder, 'swarm.key'),
      RELAY_IDENTITY_KEY_FILE: join(folder, 'relay.key'),
    },
  });
  const { address } = await tracker.waitFor('listening');
  const listening = await relay.waitFor('listening');
  expect(listening['cipher']).toBe('noble');
  const grid = {
    tracker: { url: `http://${String(address)}` },
    relay: { address: String((listening['addresses'] as string[])[0]) },
  };
  const [a, b] = [deviceEnvironment(folder, 'a', grid), deviceEnvironment(folder, 'b', grid)];
  expect((await finished(start('peer', { env: a, args: ['import', '--shell', 'bash', SAMPLE] }))).code).toBe(
    0,
  );
  const serving = start('peer', { env: a, args: ['serve'] });
  await serving.waitFor('registered', ({ addrs }) => String(addrs).includes('/p2p-circuit'));
  const sync = await finished(start('peer', { env: b, args: ['sync', '--json'] }));
  expect(parseLines<SyncResult>(sync.stdout)).toMatchObject([{ entries: 3000, duplicates: 0 }]);
}, 60_000);

test('a history of 200 MB syncs through the relay over several circuits in a row, byte for byte', async () => {
  const { tracker, relay } = await startGrid();
  const [a, b] = [
    deviceEnvironment(folder, 'a', { tracker, relay }),
    deviceEnvironment(folder, 'b', { tracker, relay }),
  ];
  await peer(a, 'import', '--shell', 'bash', SAMPLE);
  const path = join(folder, 'a.db');
  const database = new DatabaseSync(path, { timeout: 5_000 });
  // Random commands, which compress to half: more than one circuit may carry with the default limits.
  database.exec(`
    DELETE FROM entries;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
    INSERT INTO entries (entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version)
    SELECT 'big-' || i, 'a', 'demo', 1700000000 + i, hex(randomblob(70)), '/home/demo', i % 3, i, 'bash', 'host-a', '1.0.0' FROM n;`);
  database.close();
  expect(statSync(path).size).toBeGreaterThan(200_000_000);

  await serve(a);
  const syncing = keep(startService('peer', { env: b, args: ['sync', '--json'] }));
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, residentMiB(relay))), 50);
  const { code, stdout } = await finished(syncing);
  clearInterval(watch);

  expect(code).toBe(0);
  expect(parseLines<SyncResult>(stdout)).toMatchObject([{ entries: 1_000_000, duplicates: 0 }]);
  expect(difference(path, join(folder, 'b.db'))).toEqual({ missing: 0, surplus: 0, rows: 1_000_000 });
  expect(await metric(relay, 'rustory_relay_circuit_requests_total{outcome="ok"}')).toBeGreaterThan(1);
  expect(peak).toBeGreaterThan(0);
  expect(peak).toBeLessThan(256);
}, 300_000);

test('a peer with another swarm key gets nowhere, the relay counts it, and others notice nothing', async () => {
  const { tracker, relay } = await startGrid();
  const [a, b] = [
    deviceEnvironment(folder, 'a', { tracker, relay }),
    deviceEnvironment(folder, 'b', { tracker, relay }),
  ];
  await peer(a, 'import', '--shell', 'bash', SAMPLE);
  await serve(a);

  const otherKey = join(folder, 'other.key');
  createSwarmKeyFile(otherKey);
  const stranger = {
    ...deviceEnvironment(folder, 'c', { tracker, relay }),
    RUSTORY_SWARM_KEY_PATH: otherKey,
  };
  const refused = await peer(stranger, 'sync');
  expect(refused.code).toBe(3);
  expect(refused.stdout + refused.stderr).toContain('swarm key');
  expect(await metric(relay, 'rustory_relay_handshakes_total{outcome="wrong_key"}')).toBeGreaterThan(0);

  const synced = await peer(b, 'sync', '--json');
  expect(parseLines<SyncResult>(synced.stdout)).toMatchObject([{ entries: 3000, duplicates: 0 }]);
}, 60_000);

test('a relay that is killed and started again is found again by running peers, and nothing is lost or doubled', async () => {
  const { tracker, relay } = await startGrid();
  const [a, b] = [
    deviceEnvironment(folder, 'a', { tracker, relay }),
    deviceEnvironment(folder, 'b', { tracker, relay }),
  ];
  await peer(a, 'import', '--shell', 'bash', SAMPLE);
  await serve(a);
  const watching = keep(
    startService('peer', { env: b, args: ['sync', '--watch', '--interval-sec', '1', '--json'] }),
  );
  // Told by the peer itself: a database that it is just creating has no tables to look into.
  const received = (): number =>
    parseLines<Partial<SyncResult>>(watching.stdout()).reduce((sum, { entries = 0 }) => sum + entries, 0);
  await until(() => received() === 3000, 'the first sync is done');

  relay.kill('SIGKILL');
  await relay.exited;
  await peer(a, 'record', '--cmd', 'echo while the relay is away');
  const address = relay.address.slice(0, relay.address.indexOf('/p2p/'));
  const again = keep(await startRelay(folder, { env: { RELAY_LISTEN: address } }));
  expect(again.address).toBe(relay.address);
  await until(() => received() === 3001, 'the next sync has brought the new command', 30_000);
  expect(difference(join(folder, 'a.db'), join(folder, 'b.db'))).toEqual({
    missing: 0,
    surplus: 0,
    rows: 3001,
  });
  expect(watching.logged('fatal')).toEqual([]);
}, 120_000);
