// Tests hubs, for `network-test`: a temporary hub in a process of its own, which one temporary device pushes to and another
// one pulls from, and hubs that run, each of which is asked for one entry.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { VERSION } from '../../shared/program.ts';
import type { WireIo } from '../../wire/wire-io.ts';
import type { PeerConfig } from '../config/config.ts';
import type { KnownPeer } from '../discovery/peer-book.ts';
import type { Entry } from '../history/entry.ts';
import type { PeerNode } from '../network/node.ts';
import { DEFAULT_LIMIT, pull, type PullReport } from '../sync/pull.ts';
import type { TurnBudget } from '../sync/round-budget.ts';
import { syncRound } from '../sync/sync-round.ts';
import { createRoundDeps } from './commands/sync.ts';
import {
  createNode,
  createPullDeps,
  createSyncRegistrations,
  createTrackers,
  type History,
  openHistory,
  pause,
} from './context.ts';
import { startTemporaryHub } from './temporary-hub.ts';
import { deviceConfig, makeEntries, type NetworkTestOptions, readAll, withPeerId } from './test-device.ts';

/** Maximum time for the hub to become reachable and for each sync with it, in milliseconds. */
const STEP_TIMEOUT_MS = 60_000;

/** Pause between two tries, in milliseconds. */
const RETRY_MS = 1_000;

/** Ends a pull after its first page. */
const ONE_PAGE: TurnBudget = {
  times: { dialMs: 10_000, turnMs: 30_000, abortMs: 30_000 },
  spend: () => {},
  isSpent: () => true,
};

/** A temporary device that runs. */
interface TestDevice {
  readonly config: PeerConfig;
  readonly node: PeerNode;
  readonly history: History;
}

/** Tests the way of commands from a device that leaves, through a temporary hub, to a device that comes later. */
export async function testHub(
  config: PeerConfig,
  relays: readonly string[],
  options: NetworkTestOptions,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-hub-test-'));
  const userId = `hub-test-${randomUUID().slice(0, 8)}`;
  const hub = await startTemporaryHub({ ...config, userId }, relays, directory);
  const device = (name: string): PeerConfig => deviceConfig(config, userId, directory, name);
  try {
    const pushing = device('pushing');
    const entries = makeEntries(pushing);
    await withDevice(pushing, relays, options.io, async (running) => {
      running.history.store.insert(entries);
      await untilDone(options, hub.failed, async () => {
        const report = await syncOnce(running, true, options);
        return report?.push?.state === 'ok' ? undefined : (report?.push?.problem ?? describe(report));
      });
    });
    options.onStep(`pushed ${entries.length} entries to a temporary hub, and left`);
    await withDevice(device('pulling'), relays, options.io, async (running) => {
      await untilDone(options, hub.failed, async () => {
        const report = await syncOnce(running, false, options);
        return report?.error === undefined && report?.isUnfinished === false ? undefined : describe(report);
      });
      if (!isDeepStrictEqual(byId(readAll(running.history.store)), byId(entries)))
        throw new Error(
          'The entries that another device pulled from the hub differ from those that were pushed.',
        );
    });
    options.onStep(`pulled ${entries.length} entries from it on another device`);
    await hub.stop();
    options.onStep('the temporary hub stopped');
  } finally {
    await hub.stop().catch(() => {});
    await unregisterAll({ ...config, userId });
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A hub that runs. */
export interface RunningHub {
  readonly userId: string;
  /** Its multiaddr inside the cluster, without its peer id; `undefined` when it has none. */
  readonly address: string | undefined;
}

/**
 * Asks a hub for one entry, as a temporary device of its user. The device registers no address, so that no other device
 * connects to it, and unregisters at the end. The entry is dropped.
 */
export async function askHub(
  config: PeerConfig,
  { userId, address }: RunningHub,
  relays: readonly string[],
  options: NetworkTestOptions,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-hub-test-'));
  const asking = deviceConfig(config, userId, directory, `hub-test-${randomUUID().slice(0, 8)}`);
  try {
    await withDevice(asking, relays, options.io, async ({ config: own, node, history }) => {
      const peerId = node.libp2p.peerId.toString();
      const trackers = createTrackers(own);
      const deps = createPullDeps(own, node, history.store);
      const meta = { user_id: userId, device_id: own.deviceId, hostname: own.deviceId, version: VERSION };
      try {
        const listed: KnownPeer[] = [];
        for (const tracker of trackers) {
          await tracker.register({ peerId, addresses: [], meta }, options.signal);
          const { peers } = await tracker.list(userId, options.signal, peerId);
          listed.push(...peers.filter(({ isHub }) => isHub === true));
        }
        const [hub] = listed;
        if (hub === undefined) throw new Error('No tracker lists the hub.');
        const addresses =
          address === undefined ? hub.addresses : [`${address}/p2p/${hub.peerId}`, ...hub.addresses];
        const { error } = await pull({ peerId: hub.peerId, addresses }, deps, {
          limit: 1,
          signal: options.signal,
          budget: ONE_PAGE,
        });
        if (error !== undefined) throw new Error(`The hub ${hub.peerId} did not answer: ${error}`);
        options.onStep(`the hub ${hub.peerId} answered a pull of one entry`);
      } finally {
        await Promise.allSettled(trackers.map(async (tracker) => tracker.unregister(peerId)));
      }
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs a temporary device while the work lasts. It uses the relays with the peer ids that they have now. */
async function withDevice(
  given: PeerConfig,
  relays: readonly string[],
  io: WireIo,
  work: (device: TestDevice) => Promise<void>,
): Promise<void> {
  const node = await createNode(given, { io });
  const history = openHistory(given);
  try {
    await node.start();
    const known = await Promise.allSettled(relays.map(async (relay) => withPeerId(node, relay)));
    const usable = known.flatMap((relay) => (relay.status === 'fulfilled' ? [relay.value] : []));
    await work({ config: { ...given, relays: usable }, node, history });
  } finally {
    await node.libp2p.stop();
    history.database.close();
  }
}

/** One sync with the only other device of the user, the hub. */
async function syncOnce(
  { config, node, history }: TestDevice,
  isPushing: boolean,
  { log, signal }: NetworkTestOptions,
): Promise<PullReport | undefined> {
  const { userId, deviceId } = config;
  const registrations = createSyncRegistrations(config, node, log.child({}, { level: 'silent' }));
  try {
    const deps = createRoundDeps(config, { history, node, registrations });
    const push = { pushes: history.pushes, owner: { userId, deviceId } };
    const { reports } = await syncRound(isPushing ? { ...deps, pulls: { ...deps.pulls, push } } : deps, {
      limit: DEFAULT_LIMIT,
      targets: undefined,
      untilComplete: true,
      signal,
    });
    return reports.find(({ peerId }) => peerId !== node.libp2p.peerId.toString());
  } finally {
    await registrations.stop();
  }
}

/**
 * Repeats the attempt until it returns no problem.
 *
 * @throws Error with the last problem after the deadline
 */
async function untilDone(
  { signal }: NetworkTestOptions,
  failed: Promise<never>,
  attempt: () => Promise<string | undefined>,
): Promise<void> {
  const deadline = AbortSignal.timeout(STEP_TIMEOUT_MS);
  for (;;) {
    const problem = await Promise.race([attempt(), failed]);
    if (problem === undefined) return;
    if (deadline.aborted) throw new Error(`The hub does not work: ${problem}`);
    await pause(RETRY_MS, signal);
  }
}

function describe(report: PullReport | undefined): string {
  if (report === undefined) return 'no tracker lists it';
  return report.error ?? 'the pull did not complete';
}

function byId(entries: readonly Entry[]): Entry[] {
  return entries.toSorted((a, b) => (a.entry_id < b.entry_id ? -1 : 1));
}

/** Removes everything that is registered under a temporary user. */
async function unregisterAll(config: PeerConfig): Promise<void> {
  for (const tracker of createTrackers(config)) {
    try {
      const { peers } = await tracker.list(config.userId, AbortSignal.timeout(STEP_TIMEOUT_MS));
      for (const { peerId } of peers) await tracker.unregister(peerId);
    } catch {
      // The registrations expire.
    }
  }
}
