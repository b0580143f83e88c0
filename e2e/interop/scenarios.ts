// The scenarios that each program runs against our relay, tracker and peer. A scenario fails if it throws.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { until } from '../../testing/wait.ts';
import { createSwarmKeyFile } from '../../services/private-network/key.ts';
import { type Cell, STEP_TIMEOUT_MS, relayMetric, trickyEntries } from './cell.ts';
import * as pushScenarios from './push-scenarios.ts';
import type { Program } from './programs.ts';
import * as relayScenarios from './relay-scenarios.ts';
import { rustRelayProgram } from './rust-relay.ts';
import { find, reach, sendBulk } from './steps.ts';

const BULK_BYTES = 256 * 1024 * 1024;
const BULK_BYTES_OF_RUST_RELAY = 16 * 1024 * 1024;

export interface Scenario {
  /** The head of its column. */
  readonly name: string;
  /** What it proves; completes the sentence "The program …". */
  readonly proves: string;
  /** Whether it depends on which muxers a program offers, and not only on the one that is chosen. */
  readonly negotiates?: boolean;
  /** The program that is the relay instead of ours. */
  readonly relay?: Program;
  run(cell: Cell): Promise<void>;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'reserve',
    proves: 'gets a reservation with an address through which it is reachable',
    negotiates: true,
    run: reserve,
  },
  {
    name: 'refresh',
    proves: 'refreshes its reservation before it expires and stays reachable',
    run: refresh,
  },
  {
    name: 'dial',
    proves: 'dials another instance of itself through the relay: identify and ping',
    negotiates: true,
    run: dial,
  },
  { name: 'bulk', proves: 'sends 256 MiB to another instance of itself; the hashes are equal', run: bulk },
  {
    name: 'peer ← 1.0.0',
    proves: 'serves our peer with sync-pull 1.0.0',
    run: async (cell) => serveOurs(cell, '1.0.0'),
  },
  {
    name: 'peer ← 1.0.1',
    proves: 'serves our peer with sync-pull 1.0.1',
    negotiates: true,
    run: async (cell) => serveOurs(cell, '1.0.1'),
  },
  {
    name: 'peer → 1.0.0',
    proves: 'pulls from our peer with sync-pull 1.0.0',
    run: async (cell) => pullOurs(cell, '1.0.0'),
  },
  {
    name: 'peer → 1.0.1',
    proves: 'pulls from our peer with sync-pull 1.0.1',
    negotiates: true,
    run: async (cell) => pullOurs(cell, '1.0.1'),
  },
  {
    name: 'pushes',
    proves: 'pushes to our peer in both versions, then the same again, then invalid messages and items',
    run: pushScenarios.pushes,
  },
  {
    name: 'takes pushes',
    proves:
      'takes pushes of our peer in both versions; in one, it first refuses them, answers with garbage, and not at all',
    run: pushScenarios.takesPushes,
  },
  {
    name: 'wrong key',
    proves: 'cannot connect with another swarm key, and the relay counts the attempt',
    run: wrongKey,
  },
  {
    name: 'refused',
    proves: 'is refused by a full relay, stays connected, and gets the next free reservation',
    run: relayScenarios.refused,
  },
  { name: 'limits', proves: 'gets the limits of a circuit in seconds and bytes', run: relayScenarios.limits },
  {
    name: 'byte limit',
    proves: 'keeps its reservation after a circuit ends at its byte limit',
    run: relayScenarios.byteLimit,
  },
  {
    name: 'time limit',
    proves: 'detects that a circuit ends at its time limit',
    run: relayScenarios.timeLimit,
  },
  {
    name: 'drain',
    proves: 'completes its transfer on a draining relay, which refuses new reservations and circuits',
    run: relayScenarios.drain,
  },
  {
    name: 'restart',
    proves: 'is reachable again after the relay was killed and restarted',
    run: relayScenarios.restart,
  },
  {
    name: 'tracker',
    proves: 'registers with null for empty fields and parses the list strictly',
    run: tracker,
  },
  {
    name: 'rust relay',
    proves: 'does the same as in `dial`, and sends 16 MiB, through the relay of rust-libp2p',
    relay: rustRelayProgram(),
    run: rustRelay,
  },
];

async function reserve(cell: Cell): Promise<void> {
  const { relay } = cell.network;
  const { lines, code } = await cell.run(relay, ['reserve']);
  const [started, reserved] = ['started', 'reserved'].map((msg) => find(lines, msg));
  assert.equal(code, 0);
  assert.equal(reserved?.['renewal'], false);
  const address = `${relay.address}/p2p-circuit/p2p/${String(started?.['peer_id'])}`;
  assert.deepEqual(reserved?.['addresses'], [address]);
}

async function refresh(cell: Cell): Promise<void> {
  const clock = join(import.meta.dirname, 'slow-clock.ts');
  const relay = await cell.startRelay({
    NODE_OPTIONS: `--import=${clock}`,
    RELAY_RESERVATION_SECONDS: '3600',
  });
  const serving = await cell.serve(relay);
  await serving.waitFor('reserved', ({ renewal }) => renewal === true, STEP_TIMEOUT_MS);
  assert.equal(await relayMetric(relay, 'reservations'), 1);
  assert.ok((await relayMetric(relay, 'reservation_requests_total{outcome="ok"}')) >= 2);
  await reach(cell, relay, serving);
}

async function dial(cell: Cell): Promise<void> {
  const serving = await cell.serve(cell.network.relay);
  await reach(cell, cell.network.relay, serving);
}

async function bulk(cell: Cell): Promise<void> {
  const { relay } = cell.network;
  const serving = await cell.serve(relay);
  await sendBulk(cell, relay, serving, BULK_BYTES);
}

async function rustRelay(cell: Cell): Promise<void> {
  const relay = await cell.startRustRelay();
  const serving = await cell.serve(relay);
  await reach(cell, relay, serving);
  await sendBulk(cell, relay, serving, BULK_BYTES_OF_RUST_RELAY);
  assert.equal(await relay.stop(), 0);
}

async function serveOurs(cell: Cell, version: string): Promise<void> {
  const { relay } = cell.network;
  const entries = trickyEntries('theirs');
  // Our peer prefers 1.0.1 if both versions are offered.
  const offered = version === '1.0.1' ? [] : ['--version', version];
  const serving = await cell.serve(relay, [...cell.entriesFile(entries), ...offered]);
  const device = cell.device(relay);
  const address = `${relay.address}/p2p-circuit/p2p/${serving.peerId}`;
  const { code, stderr } = await device.run('sync', '--peers', address, '--limit', '20');
  assert.equal(code, 0, stderr);
  assert.deepEqual(device.entries(), sorted(entries));
  assert.equal((await serving.waitFor('served'))['protocol'], `/rustory/sync-pull/${version}`);
}

async function pullOurs(cell: Cell, version: string): Promise<void> {
  const { relay } = cell.network;
  const entries = trickyEntries('ours');
  const device = cell.device(relay);
  device.insert(entries);
  const serving = device.start('serve');
  try {
    const { addrs } = await serving.waitFor('registered', (line) =>
      String(line['addrs']).includes('p2p-circuit'),
    );
    const peerId =
      String((addrs as string[])[0])
        .split('/')
        .at(-1) ?? '';
    const offered = version === '1.0.1' ? [] : ['--version', version];
    const args = ['pull', '--peer', peerId, '--limit', '20', ...offered];
    const { lines, code, stderr } = await cell.run(relay, args);
    assert.equal(code, 0, stderr);
    const pulled = lines
      .filter(({ msg }) => msg === 'entry')
      .map((line) => line['entry'] as { entry_id: string });
    assert.deepEqual(sorted(pulled), sorted(entries));
    assert.equal(find(lines, 'pulled')?.['protocol'], `/rustory/sync-pull/${version}`);
  } finally {
    await serving.stop();
  }
}

async function wrongKey(cell: Cell): Promise<void> {
  const relay = await cell.startRelay();
  const swarmKey = join(cell.folder(), 'other.key');
  createSwarmKeyFile(swarmKey);
  const { code, lines } = await cell.run(relay, ['reserve'], { swarmKey });
  assert.equal(code, 1);
  assert.equal(find(lines, 'reserved'), undefined);
  await until(
    async () => (await relayMetric(relay, 'handshakes_total{outcome="wrong_key"}')) > 0,
    'the relay counts the wrong key',
  );
  assert.equal((await cell.run(relay, ['reserve'])).code, 0);
}

async function tracker(cell: Cell): Promise<void> {
  const { relay, tracker: service } = cell.network;
  const user = `${cell.program.name}-${cell.muxer}`;
  const options = ['--tracker', service.url, '--user', user];
  const registered = find((await cell.run(relay, ['register', ...options])).lines, 'registered');
  assert.equal(registered?.['ttl_sec'], 60);
  const { lines, stderr } = await cell.run(relay, ['list', ...options]);
  const peers = find(lines, 'listed')?.['peers'] as Array<Record<string, unknown>> | undefined;
  assert.equal(peers?.length, 1, stderr);
  const peerId = String(registered['peer_id']);
  assert.deepEqual(peers[0]?.['addrs'], [`${relay.address}/p2p-circuit/p2p/${peerId}`]);
  assert.deepEqual(peers[0]['meta'], {
    device_id: 'interop',
    hostname: null,
    user_id: user,
    version: null,
    build_revision: null,
    build_dirty: true,
  });
}

function sorted<T extends { readonly entry_id: string }>(entries: readonly T[]): T[] {
  return entries.toSorted((a, b) => (a.entry_id < b.entry_id ? -1 : 1));
}
