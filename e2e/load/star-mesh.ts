// `node e2e/load/star-mesh.ts [DEVICES [mesh | star [SECONDS]]]`: one round of devices between which only circuits exist. Each
// asks the tracker for the devices of its user, and syncs with all that it lists: four at once, each over a new connection to the
// relay and a new circuit, with an empty pull, as `rr` does every 60 seconds. In a mesh the devices answer each other; in a star
// a hub runs, and the tracker lists only it. What is not done after SECONDS (60) is not counted: the next round begins then.
// Prints the syncs, the duration of the round of a device, and the CPU time of the relay, in total and per sync.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { hubEnvironment, startRelay, startTracker } from '../../scripts/local-network.ts';
import { startService } from '../../scripts/processes.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { startDevice } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';
import { openStream } from '../../testing/push-client.ts';
import { readToEnd, sendMessage } from '../../testing/raw-stream.ts';
import { decode, encode, PULL, type PullAnswer } from '../../testing/wire-messages.ts';

const [devices = 12, , seconds = 60] = process.argv.slice(2).map(Number);
const isStar = process.argv[3] === 'star';

/** Devices that a device of `rr` syncs with at the same time. */
const AT_ONCE = 4;

/** The time that `rr` gives everything with one peer, in milliseconds. */
const SYNC_MS = 30_000;

const USER = 'ada';
const DEVICE_TOKEN = 'a-token-of-the-devices';
const HUB_TOKEN = 'a-token-of-the-hub';
const EMPTY = encode({ entries: [], next_cursor: 0, deletions: [], next_delete_cursor: 0 }, 'zstd');
const folder = mkdtempSync(join(tmpdir(), 'rustory-mesh-'));
onCleanup(() => rmSync(folder, { recursive: true, force: true }));

/** One device: it holds a reservation and answers pulls with one node, and syncs with others, as its processes do. */
interface Device {
  readonly serving: Libp2p;
  readonly syncing: readonly Libp2p[];
}

async function request(url: string, body?: object): Promise<unknown> {
  const headers = { authorization: `Bearer ${DEVICE_TOKEN}`, 'content-type': 'application/json' };
  const init = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`);
  return response.json();
}

async function startOne(tracker: string, relay: string, name: string): Promise<Device> {
  const key = readSwarmKey(join(folder, 'swarm.key'));
  const identity = await generateKeyPair('Ed25519');
  const limits = { handshakeMs: SYNC_MS };
  const serving = await startDevice(key, { address: relay }, limits, identity);
  await serving.handle(
    PULL.zstd,
    async (stream) => {
      const signal = AbortSignal.timeout(SYNC_MS);
      await readToEnd(stream, signal);
      await sendMessage(stream, EMPTY, signal);
    },
    { runOnLimitedConnection: true },
  );
  const syncing: Libp2p[] = [];
  for (let n = 0; n < (isStar ? 1 : AT_ONCE); n += 1)
    syncing.push(await startDevice(key, undefined, limits, identity));
  for (const node of [serving, ...syncing]) onCleanup(async () => node.stop());
  const peerId = serving.peerId.toString();
  const addrs = [`${relay}/p2p-circuit/p2p/${peerId}`];
  await request(`${tracker}/api/v1/peers/register`, {
    peer_id: peerId,
    addrs,
    meta: { user_id: USER, device_id: name },
  });
  return { serving, syncing };
}

async function startHub(tracker: string, relay: string): Promise<void> {
  const hub = startService('peer', {
    args: ['hub'],
    env: {
      ...hubEnvironment(folder, { tracker: { url: tracker }, relay: { address: relay } }),
      RUSTORY_USER_ID: USER,
      RUSTORY_TRACKER_TOKEN: HUB_TOKEN,
      RUSTORY_LISTEN: 'none',
    },
  });
  onCleanup(async () => hub.stop());
  await hub.waitFor('registered', ({ addrs }) => JSON.stringify(addrs).includes('p2p-circuit'));
}

/** An empty sync over a new connection to the relay. */
async function sync(node: Libp2p, address: string): Promise<void> {
  const signal = AbortSignal.timeout(SYNC_MS);
  try {
    const connection = await node.dial(multiaddr(address), { signal });
    const stream = await openStream(connection, PULL.zstd, signal);
    const message = encode({ cursor: 0, delete_cursor: 0, limit: 1_000 }, 'zstd');
    const [answer] = await Promise.all([readToEnd(stream, signal), sendMessage(stream, message, signal)]);
    if ((decode(answer, 'zstd') as PullAnswer).entries.length > 0)
      throw new Error('The answer is not empty.');
  } finally {
    await Promise.all(node.getConnections().map(async (each) => each.close().catch(() => {})));
  }
}

interface Round {
  readonly ms: number;
  readonly listed: number;
  readonly done: number;
  readonly failures: readonly string[];
}

async function round({ serving, syncing }: Device, tracker: string, endMs: number): Promise<Round> {
  const startedMs = performance.now();
  const own = serving.peerId.toString();
  const { peers } = (await request(`${tracker}/api/v1/peers?user_id=${USER}`)) as {
    peers: { peer_id: string; addrs: string[] }[];
  };
  const addresses = peers.filter(({ peer_id }) => peer_id !== own).map(({ addrs }) => addrs[0] ?? '');
  const waiting = [...addresses];
  const failures: string[] = [];
  let done = 0;
  await Promise.all(
    syncing.map(async (node) => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        if (performance.now() > endMs) return;
        try {
          await sync(node, next);
          if (performance.now() <= endMs) done += 1;
        } catch (error) {
          failures.push(error instanceof Error ? error.message : String(error));
        }
      }
    }),
  );
  return { ms: performance.now() - startedMs, listed: addresses.length, done, failures };
}

function quantile(values: readonly number[], share: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN) / 1_000).toFixed(2);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}

try {
  const tokens = join(folder, 'tokens');
  writeFileSync(tokens, `${DEVICE_TOKEN} user=${USER}\n${HUB_TOKEN} user=${USER} hub\n`);
  const { url, stop } = await startTracker({
    env: { TRACKER_TOKENS_FILE: tokens, TRACKER_STAR: String(isStar), TRACKER_TTL_SECONDS: '3600' },
  });
  onCleanup(async () => stop());
  const relay = await startRelay(folder);
  onCleanup(relay.stop);
  const all: Device[] = [];
  for (let n = 0; n < devices; n += 1) all.push(await startOne(url, relay.address, `device${n}`));
  if (isStar) await startHub(url, relay.address);
  const before = cpuSeconds(relay);
  const endMs = performance.now() + seconds * 1_000;
  const rounds = await Promise.all(all.map(async (device) => round(device, url, endMs)));
  const cpu = cpuSeconds(relay) - before;
  const [listed, done] = [sum(rounds.map((each) => each.listed)), sum(rounds.map((each) => each.done))];
  const failures = rounds.flatMap((each) => each.failures);
  const times = rounds.map(({ ms }) => ms);
  process.stdout.write(
    `${devices} devices, ${isStar ? 'star' : 'mesh'}: ${listed} syncs a minute, ${done} done in ${seconds} s, ${failures.length} failed\n` +
      `round of a device: median ${quantile(times, 0.5)} s, p95 ${quantile(times, 0.95)} s, maximum ${quantile(times, 1)} s\n` +
      `relay: CPU ${cpu.toFixed(2)} s, ${((cpu / Math.max(1, done)) * 1_000).toFixed(1)} ms per sync, ${residentMiB(relay).toFixed(0)} MiB\n`,
  );
  for (const [failure, same] of Map.groupBy(failures, (each) => each))
    process.stdout.write(`  ${same.length} failed: ${failure}\n`);
} finally {
  await cleanUp();
}
