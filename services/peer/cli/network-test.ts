// Tries a grid with two throw-away devices: one reserves on a relay and registers, the other finds it through the
// trackers and pulls its history through that relay. What `rustory-peer grid-test` and `helm test` run.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { multiaddr } from '@multiformats/multiaddr';
import type { Logger } from '../../shared/log.ts';
import { VERSION } from '../../shared/program.ts';
import { peerIdOf } from '../network/addresses.ts';
import type { Config } from '../config/config.ts';
import type { Entry } from '../history/entry.ts';
import { clock, createNode, createPullDeps, createTrackers, now, openHistory } from './context.ts';
import type { PeerNode } from '../network/node.ts';
import { reserveOn } from '../network/reservation.ts';
import { servePulls } from '../sync/serve.ts';
import type { Store } from '../history/store.ts';
import { syncRound } from '../sync/sync-round.ts';

/** What is synced through each relay: some hundred kilobytes. */
const ENTRIES = 1_000;
const COMMAND_BYTES = 150;

/** Entries asked for at once, so that a sync takes several answers. */
const PAGE = 400;

/** How long the first connection to a relay may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

export interface GridTestOptions {
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Told each thing that was found to work. */
  readonly onStep: (step: string) => void;
}

/**
 * Tries all trackers of the configuration and one relay.
 *
 * @param relay its multiaddr; without a peer id whoever answers with the swarm key is taken for it.
 * @throws Error that says what did not work.
 */
export async function tryRelay(config: Config, relay: string, options: GridTestOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-grid-test-'));
  try {
    const userId = `grid-test-${randomUUID().slice(0, 8)}`;
    const device = (name: string): Config => deviceConfig(config, userId, directory, name);
    await tryWith(device('serving'), device('asking'), relay, options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function tryWith(
  serving: Config,
  asking: Config,
  relay: string,
  options: GridTestOptions,
): Promise<void> {
  const node = await createNode(serving, []);
  const history = openHistory(serving);
  let stopServing: (() => Promise<void>) | undefined;
  try {
    history.store.insert(makeEntries(serving));
    await node.start();
    stopServing = await servePulls({ libp2p: node.libp2p, store: history.store, log: options.log, clock });
    const reservation = await reserve(node, relay, options);
    const peerId = node.libp2p.peerId.toString();
    await withRegistration(serving, peerId, reservation.addresses, options, async () =>
      pullThrough(asking, reservation.relay, peerId, history.store, options),
    );
  } finally {
    await stopServing?.();
    await node.libp2p.stop();
    history.database.close();
  }
}

/**
 * The settings of a device that has everything of its own but the grid; the user too, or the real devices of that
 * user would pull what only the test needs.
 */
function deviceConfig(config: Config, userId: string, directory: string, name: string): Config {
  const path = join(directory, name);
  const own = {
    userId,
    deviceId: `${userId}-${name}`,
    dbPath: `${path}.db`,
    p2pIdentityKeyPath: `${path}.key`,
  };
  return { ...config, settings: { ...config.settings, ...own, dialStrategy: 'relay-only' } };
}

function makeEntries({ settings: { deviceId, userId } }: Config): Entry[] {
  return Array.from({ length: ENTRIES }, (_, position) => ({
    entry_id: `${deviceId}-${position}`,
    device_id: deviceId,
    user_id: userId,
    ts: now(),
    // Nothing that compression would make small.
    cmd: `echo ${randomBytes(COMMAND_BYTES).toString('base64')}`,
    cwd: '/',
    exit_code: 0,
    duration_ms: position,
    shell: 'sh',
    hostname: deviceId,
    version: VERSION,
  }));
}

/** A relay that granted a reservation. */
interface Reservation {
  /** The address of the relay, with its peer id. */
  readonly relay: string;
  /** The circuit addresses that lead to this device. */
  readonly addresses: readonly string[];
}

async function reserve(
  node: PeerNode,
  given: string,
  { signal, onStep }: GridTestOptions,
): Promise<Reservation> {
  let relay = given;
  if (peerIdOf(given) === undefined) {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]);
    const connection = await node.libp2p.dial(multiaddr(given), { signal: deadline });
    relay = `${given}/p2p/${connection.remotePeer.toString()}`;
  }
  const granted = await reserveOn(node, relay, signal);
  if ('stage' in granted) throw new Error(`no reservation on ${relay}: ${granted.stage}: ${granted.reason}`);
  const announced = granted.addrs.map((bytes) => multiaddr(bytes).toString());
  onStep(`reserved on ${relay}, which announces ${announced.join(', ')}`);
  const fronts = [...new Set([relay, ...announced])];
  return {
    relay,
    addresses: fronts.map((front) => `${front}/p2p-circuit/p2p/${node.libp2p.peerId.toString()}`),
  };
}

/** Registers with every tracker, does the work while it is listed by all, and unregisters. */
async function withRegistration(
  config: Config,
  peerId: string,
  addresses: readonly string[],
  { signal, onStep }: GridTestOptions,
  work: () => Promise<void>,
): Promise<void> {
  const trackers = createTrackers(config);
  const { userId, deviceId } = config.settings;
  const meta = { user_id: userId, device_id: deviceId, hostname: deviceId, version: VERSION };
  const listed = async (tracker: (typeof trackers)[number]): Promise<string[] | undefined> =>
    (await tracker.list(userId, signal)).find((peer) => peer.peer_id === peerId)?.addrs;
  try {
    for (const tracker of trackers) {
      await tracker.register({ peerId, addresses, meta }, signal);
      if (!isDeepStrictEqual(await listed(tracker), addresses))
        throw new Error(`tracker ${tracker.url} took a registration and does not list it`);
      onStep(`registered with ${tracker.url}, which lists it`);
    }
    await work();
  } finally {
    await Promise.allSettled(trackers.map(async (tracker) => tracker.unregister(peerId)));
  }
  for (const tracker of trackers) {
    if ((await listed(tracker)) !== undefined)
      throw new Error(`tracker ${tracker.url} still lists what was unregistered`);
    onStep(`unregistered from ${tracker.url}`);
  }
}

/** Finds the serving device through the trackers, pulls from it through the relay, and compares. */
async function pullThrough(
  config: Config,
  relay: string,
  peerId: string,
  expected: Store,
  { signal, onStep }: GridTestOptions,
): Promise<void> {
  const asking: Config = { ...config, settings: { ...config.settings, relayAddr: [relay] } };
  const { database, store, peerBook } = openHistory(asking);
  const node = await createNode(asking);
  try {
    await node.start();
    const discovery = {
      trackers: createTrackers(asking),
      peerBook,
      userId: asking.settings.userId,
      ownPeerId: node.libp2p.peerId.toString(),
      now,
    };
    const { reports } = await syncRound(
      { discovery, pulls: createPullDeps(asking, node, store) },
      { limit: PAGE, peers: [peerId], signal },
    );
    const [report] = reports;
    if (report?.error !== undefined || report?.address?.startsWith(`${relay}/p2p-circuit/`) !== true)
      throw new Error(`no sync through ${relay}: ${report?.error ?? `came by ${report?.address}`}`);
    if (!isDeepStrictEqual(readAll(store), readAll(expected)))
      throw new Error(`a sync through ${relay} brought other entries than there are`);
    onStep(`synced ${report.entries} entries through ${relay} in ${report.durationMs} ms`);
  } finally {
    await node.libp2p.stop();
    database.close();
  }
}

function readAll(store: Store): Entry[] {
  const entries: Entry[] = [];
  store.readAfter(0, ENTRIES + 1, ({ entry }) => entries.push(entry) > 0);
  return entries;
}
